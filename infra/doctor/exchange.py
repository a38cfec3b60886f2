"""Connect to an exchange as its extractor does: REST, then the socket up to its first ticker."""

import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from websocket import WebSocketException

from core.settings import Settings
from exchanges.exchange import Exchange, ExchangeError, Session, ShutdownAnnounced
from extractors.network.refusal import refusal
from extractors.receive.connection import WAKE_INTERVAL
from extractors.receive.exchange_client import ExchangeClient, client_of
from extractors.receive.open_socket import connect
from extractors.receive.web_socket import Socket
from infra import exchange_request
from infra.doctor.clocks import date_finding
from infra.doctor.finding import Finding

LIMIT = 30.0
"""Maximum seconds between the attempt to connect and the first ticker."""

REST_TIMEOUT = 10.0

REMEDIES: Mapping[int, str] = {
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: (
        "the exchange does not serve the country of this address, for legal reasons: run the extractor "
        "where the exchange allows it"
    ),
    HTTPStatus.FORBIDDEN: (
        "the exchange's firewall rejects this address: it may be blocked, shared with others, or in a "
        "country that is not served. Try from another network; HTTPS_PROXY names a proxy"
    ),
    HTTPStatus.IM_A_TEAPOT: "this address is banned for too many requests: stop all its clients and wait",
    HTTPStatus.TOO_MANY_REQUESTS: "too many requests from this address: wait, and run fewer clients on it",
}
OTHERWISE = "check the network, the proxy and {settings}; the exchange's status page says whether it is down"


def exchange(exchange: Exchange, settings: Settings, limit: float = LIMIT) -> Iterator[Finding]:
    """Report a refusal in plain words, a silent stream, and a clock that differs from ours."""
    try:
        yield from _rest(exchange, settings)
    except (ExchangeError, OSError) as error:
        yield refused("REST", exchange, error)
    try:
        _first_ticker(client_of(exchange, settings), limit)
    except (ExchangeError, WebSocketException, OSError) as error:
        yield refused("socket", exchange, error)


def refused(what: str, exchange: Exchange, error: Exception) -> Finding:
    """Return the finding for an error of a request or of a connection."""
    status = error.status if isinstance(error, ExchangeError) else 0
    reason = error if isinstance(error, ExchangeError) else f"{type(error).__name__}: {error}"
    otherwise = OTHERWISE.format(settings=f"{exchange.name.upper()}_…_URL")
    return Finding(f"{what}: {reason}", REMEDIES.get(status, otherwise))


def _rest(exchange: Exchange, settings: Settings) -> Iterator[Finding]:
    """Request a path that needs no key. Raise ExchangeError if it is refused, OSError without an answer."""
    url = settings.exchanges[exchange.name].addresses["rest"] + exchange.reachable_path
    asked = time.time()
    answer = exchange_request.get(url, REST_TIMEOUT)
    answered = time.time()
    if answer.status_code != HTTPStatus.OK:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        path = urlsplit(url).path
        raise refusal(path, url, answer.status_code, headers, answer.content)
    yield from date_finding(exchange.title, asked, answered, answer.headers.get("Date"))


def _first_ticker(client: ExchangeClient, limit: float) -> None:
    """Return at the first ticker. Raise the errors of connect(), or ExchangeError after `limit` seconds."""
    end = time.monotonic() + limit
    endpoint, socket = connect(client)
    try:
        socket.settimeout(WAKE_INTERVAL)
        session = endpoint.session(time.monotonic())
        while time.monotonic() < end:
            for text in session.due(time.monotonic()):
                socket.send(text)
            if _has_ticker(socket, session):
                return
    finally:
        socket.send_close()
        socket.shutdown()  # type: ignore[no-untyped-call]
    raise ExchangeError("silence", f"no ticker within {limit:g} s at {endpoint.host}")


def _has_ticker(socket: Socket, session: Session) -> bool:
    for data in socket.frames():
        try:
            if any(each.symbol for each in session.receive(data)):
                return True
        except ShutdownAnnounced:
            continue
    return False
