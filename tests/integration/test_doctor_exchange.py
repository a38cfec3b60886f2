"""Connect to local exchanges that refuse, stay silent or have a wrong clock, as make doctor does."""

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest

from core.settings import Settings
from exchanges import EXCHANGE
from infra.doctor.exchange import exchange
from infra.doctor.finding import Finding
from infra.replay.faults.faults import Fault, NoAck, Silence, TooManyRequests
from tests.support.ledger import Ledger
from tests.support.loopback import http_server
from tests.support.replay_exchange import clear, inflict, running, settings_at
from tests.support.small_exchange import EXCHANGES, exchanges


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(*exchanges(Ledger())) as address:
        yield address


def findings(name: str, settings: Settings, limit: float = 30.0) -> list[Finding]:
    return [*exchange(EXCHANGE[name], settings, limit)]


@pytest.mark.parametrize("name", EXCHANGES)
def test_exchange_that_sends_tickers_has_no_finding(address: str, name: str) -> None:
    assert findings(name, settings_at(Settings(), address)) == []


@pytest.mark.parametrize(
    ("name", "fault", "problem", "remedy"),
    [
        (
            "binance",
            TooManyRequests(wait=7),
            "socket: refused: handshake answered 429",
            "too many requests",
        ),
        (
            "kucoin",
            TooManyRequests(wait=7),
            "socket: refused: /api/v1/bullet-public answered",
            "too many",
        ),
        (
            "binance",
            Silence(),
            "socket: silence: no ticker within 2 s at 127.0.0.1",
            "check the network",
        ),
        (
            "kucoin",
            NoAck(),
            "socket: silence: no ticker within 2 s at 127.0.0.1",
            "check the network",
        ),
    ],
)
def test_refusal_and_silence_are_found(
    address: str, name: str, fault: Fault, problem: str, remedy: str
) -> None:
    inflict(address, name, fault, "every")
    try:
        (found,) = findings(name, settings_at(Settings(), address), limit=2.0)
    finally:
        clear(address, name)
    assert found.problem.startswith(problem)
    assert found.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (451, "the exchange does not serve the country of this address, for legal reasons"),
        (403, "the exchange's firewall rejects this address"),
        (418, "this address is banned for too many requests"),
        (503, "check the network, the proxy and BINANCE_…_URL"),
    ],
)
def test_status_of_a_refusal_is_explained(status: int, remedy: str) -> None:
    body = '{"code": 0, "msg": "Service unavailable from a restricted location"}'
    with http_server(lambda: body, status) as url:
        rest, socket = findings("binance", settings_at(Settings(), url.removeprefix("http://")))
    reason = f"answered {status} code 0: Service unavailable from a restricted location"
    assert rest.problem == f"REST: refused: /api/v3/ping {reason}"
    assert socket.problem == f"socket: refused: handshake {reason}"
    assert rest.remedy.startswith(remedy)
    assert socket.remedy == rest.remedy


def test_unreachable_exchange_is_found() -> None:
    with http_server(lambda: "") as url:
        address = url.removeprefix("http://")
    rest, socket = findings("kucoin", settings_at(Settings(), address))
    assert rest.problem.startswith("REST: ConnectionError: ")
    assert socket.problem.startswith("socket: ")
    assert "KUCOIN_…_URL" in socket.remedy


def test_malformed_date_says_nothing_about_the_clock() -> None:
    with http_server(lambda: "{}", headers={"Date": "today"}) as url:
        found = findings("binance", settings_at(Settings(), url.removeprefix("http://")))
    assert [each.problem.partition(":")[0] for each in found] == ["socket"]


def test_clock_of_the_exchange_that_differs_is_found() -> None:
    # The header has whole seconds, so the difference that is found is up to a second smaller.
    date = formatdate(time.time() - 3591, usegmt=True)
    with http_server(lambda: "{}", headers={"Date": date}) as url:
        found = findings("binance", settings_at(Settings(), url.removeprefix("http://")))
    assert found[0].problem.startswith("the clock of Binance is 359")
    assert found[0].problem.endswith(" s behind this machine's")
