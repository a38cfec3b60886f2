"""Check keys, origins and limits of the server: which requests are answered and which are refused."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.server import DEADLINE, ServerProcess, running_server
from tests.support.waiting import pass_time, wait_for

KEY = "0123456789abcdef0123456789abcdef"
LISTED = "https://prices.example.org"
NOWHERE = "postgresql://reader:secret@127.0.0.1:1/none"

RIGHT = [{"Authorization": f"Bearer {KEY}"}, {"Authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}]
WRONG = [
    {},
    {"Authorization": f"Bearer {KEY}0"},
    {"Authorization": f"Basic {KEY}"},
    {"Authorization": KEY},
    {"X-API-Key": KEY.upper()},
    {"Cookie": f"session={KEY}"},
    {"Cookie": "session=99999999999.0123456789abcdef"},
]


@pytest.fixture(scope="module")
def locked() -> Iterator[ServerProcess]:
    """A server on all addresses, so with a key. It has no Postgres."""
    with running_server(NOWHERE, SERVER_HOST="0.0.0.0", SERVER_API_KEY=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def guarded() -> Iterator[ServerProcess]:
    """A server on loopback without a key, with one allowed origin and few streams."""
    with running_server(
        NOWHERE,
        SERVER_ORIGINS=LISTED,
        SERVER_STREAM_LIMIT="3",
        SERVER_STREAM_LIMIT_PER_ADDRESS="2",
    ) as server:
        yield server


def handshake(server: ServerProcess, **headers: str) -> int:
    """Return the status of a WebSocket handshake: 101 if it is accepted."""
    try:
        with connect(server.stream, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        problem = json.loads(refused.response.body or b"")
        assert problem["status"] == refused.response.status_code
        return refused.response.status_code


def follow(server: ServerProcess, **headers: str) -> int:
    """Return the status of a request for server-sent events."""
    address = f"{server.page}stream"
    with requests.get(address, headers=headers, stream=True, timeout=DEADLINE) as answer:
        return answer.status_code


def ask(server: ServerProcess, **headers: str) -> requests.Response:
    return server.get("/api/prices", headers)


@pytest.mark.parametrize("headers", WRONG)
def test_without_the_key_neither_prices_nor_streams_are_served(
    locked: ServerProcess, headers: dict[str, str]
) -> None:
    for path in ("/api/prices", "/api/nothing", "/metrics", "/stream", "/nothing"):
        answer = locked.get(path, headers)
        assert (path, answer.status_code) == (path, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    begun = requests.post(f"{locked.page}session", headers=headers, timeout=DEADLINE)
    assert (begun.status_code, begun.cookies.get("session")) == (401, None)
    assert handshake(locked, **headers) == 401


@pytest.mark.parametrize("headers", RIGHT)
def test_with_the_key_prices_and_streams_are_served(
    locked: ServerProcess, headers: dict[str, str]
) -> None:
    # 503 comes from the missing Postgres, so the key was accepted.
    assert ask(locked, **headers).status_code == 503
    assert locked.get("/metrics", headers).status_code == 200
    assert follow(locked, **headers) == 200
    assert handshake(locked, **headers) == 101


@pytest.mark.parametrize("path", ["/./app.js", "//app.js", "/healthz/../api/prices", "/API/prices"])
def test_an_open_path_is_open_as_it_is_written_and_in_no_other_way(
    locked: ServerProcess, path: str
) -> None:
    with closing(HTTPConnection("127.0.0.1", locked.port, timeout=DEADLINE)) as connection:
        connection.request("GET", path)
        assert connection.getresponse().status == 401


def test_the_page_the_probes_and_the_document_are_open(locked: ServerProcess) -> None:
    paths = ("/", "/app.js", "/style/base.css", "/healthz", "/openapi.json")
    assert {path: locked.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
    assert locked.get("/readyz").status_code == 503


def test_a_browser_that_shows_the_key_once_is_known_by_its_cookie(locked: ServerProcess) -> None:
    begun = requests.post(f"{locked.page}session", headers={"X-API-Key": KEY}, timeout=DEADLINE)

    assert begun.status_code == 204
    attributes = begun.headers["set-cookie"].lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert KEY not in begun.headers["set-cookie"]
    session = f"session={begun.cookies['session']}"
    assert ask(locked, Cookie=session).status_code == 503
    assert (handshake(locked, Cookie=session), follow(locked, Cookie=session)) == (101, 200)
    assert handshake(locked, Cookie=session[:-1]) == 401


def test_the_cookie_of_a_page_behind_tls_never_leaves_tls(locked: ServerProcess) -> None:
    headers = {"X-API-Key": KEY, "X-Forwarded-Proto": "https"}

    begun = requests.post(f"{locked.page}session", headers=headers, timeout=DEADLINE)

    assert "secure" in begun.headers["set-cookie"].lower()


def test_another_site_reads_nothing_unless_it_is_listed(guarded: ServerProcess) -> None:
    own = guarded.page.rstrip("/")
    for foreign in ("https://evil.example", f"{LISTED}:8443", "null", "http://localhost:1"):
        refused = ask(guarded, Origin=foreign)
        assert (foreign, refused.status_code) == (foreign, 403)
        assert refused.json()["detail"].startswith(f"Origin={foreign!r}: ")
        assert "access-control-allow-origin" not in refused.headers
        assert handshake(guarded, Origin=foreign) == 403
        assert follow(guarded, Origin=foreign) == 403
    for welcome in (own, LISTED):
        assert ask(guarded, Origin=welcome).status_code == 503
        assert handshake(guarded, Origin=welcome) == 101
        assert follow(guarded, Origin=welcome) == 200


def test_a_listed_site_may_read_answers_and_errors_and_send_the_key(
    guarded: ServerProcess,
) -> None:
    answer = ask(guarded, Origin=LISTED)
    preflight = requests.options(
        f"{guarded.page}api/prices",
        headers={
            "Origin": LISTED,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,x-api-key",
        },
        timeout=DEADLINE,
    )

    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == LISTED
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == LISTED


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "192.0.2.1", "[::1", ""])
def test_a_name_that_only_points_at_loopback_is_refused(guarded: ServerProcess, host: str) -> None:
    answer = ask(guarded, Host=host)

    assert answer.status_code == 421
    assert answer.json()["detail"].startswith(f"Host={host!r}: ")


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "[::1]:8000", "prices.example.org"])
def test_loopback_and_a_proxy_for_a_listed_site_are_known(
    guarded: ServerProcess, host: str
) -> None:
    assert ask(guarded, Host=host).status_code == 503


@pytest.mark.parametrize(
    ("forwarded", "protocols"),
    [
        ({}, {"websocket": "ws", "events": "http"}),
        ({"X-Forwarded-Proto": "https"}, {"websocket": "wss", "events": "https"}),
    ],
    ids=["without TLS", "behind TLS"],
)
def test_the_document_of_the_streams_names_the_protocols_that_clients_use(
    guarded: ServerProcess, forwarded: dict[str, str], protocols: dict[str, str]
) -> None:
    document = guarded.get("/asyncapi.json", {"Host": "prices.example.org", **forwarded}).json()

    assert document["servers"] == {
        name: {"host": "prices.example.org", "protocol": protocol}
        for name, protocol in protocols.items()
    }


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br, GZIP;q=0.1", "gzip"),
        ("identity", None),
        ("gzip;q=0, identity", None),
    ],
)
def test_only_clients_that_accept_gzip_get_it(
    guarded: ServerProcess, accepted: str, encoding: str | None
) -> None:
    answer = guarded.get("/openapi.json", {"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == encoding
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert answer.json()["info"]["title"] == "Live crypto prices"


def test_a_connection_stays_open_between_requests_of_a_script_every_six_seconds(
    guarded: ServerProcess,
) -> None:
    with closing(HTTPConnection("127.0.0.1", guarded.port, timeout=DEADLINE)) as client:
        client.connect()
        first = client.sock
        for pause in (6, 0):
            client.request("GET", "/healthz")
            assert client.getresponse().read() == b'{"status":"ok"}'
            pass_time(pause)
        assert client.sock is first


def test_an_endless_address_is_refused(guarded: ServerProcess) -> None:
    answer = guarded.get("/api/prices", symbol="x" * 8000)

    assert answer.status_code == 414
    assert answer.json()["detail"] == "path and query have more than 8000 bytes"


def test_endless_headers_are_not_collected(guarded: ServerProcess) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), DEADLINE) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Endless: ")
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                client.sendall(b"x" * 100_000)


def test_headers_beyond_the_limit_are_refused_in_one_piece_too(guarded: ServerProcess) -> None:
    answer = ask(guarded, **{"X-Long": "x" * 16_384})

    assert answer.status_code == 431
    assert answer.json()["detail"] == "the headers have more than 16384 bytes"
    assert ask(guarded, **{"X-Long": "x" * 15_000}).status_code == 503


def raw_answer(server: ServerProcess, request: str) -> str:
    """Return the answer up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(request.encode())
        return b"".join(iter(lambda: client.recv(65_536), b"")).decode()


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/readyz", 503), ("/api/prices", 421)]
)
def test_a_check_without_host_is_answered_and_nothing_else(
    guarded: ServerProcess, path: str, status: int
) -> None:
    answer = raw_answer(guarded, f"GET {path} HTTP/1.0\r\n\r\n")

    assert answer.startswith(f"HTTP/1.1 {status} ")


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://127.0.0.1:8000/healthz", "127.0.0.1", 200),
        ("HTTP://localhost/healthz?", "evil.example", 200),
        ("http://localhost", "localhost", 200),
        ("http://evil.example/healthz", "127.0.0.1", 421),
        ("http://localhost/http://localhost/healthz", "localhost", 404),
        ("ftp://localhost/healthz", "localhost", 404),
    ],
)
def test_the_absolute_form_of_a_target_names_host_and_path(
    guarded: ServerProcess, target: str, host: str, status: int
) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"

    assert raw_answer(guarded, request).startswith(f"HTTP/1.1 {status} ")


def test_the_absolute_form_needs_the_key_as_well(locked: ServerProcess) -> None:
    request = (
        "GET http://localhost/api/prices HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )

    assert raw_answer(locked, request).startswith("HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "path", ["/", "/app.js", "/healthz", "/readyz", "/openapi.json", "/metrics", "/api/prices"]
)
def test_head_has_the_headers_of_get_and_no_body(guarded: ServerProcess, path: str) -> None:
    got = guarded.get(path)
    asked = requests.head(f"{guarded.page.rstrip('/')}{path}", timeout=DEADLINE)

    assert (asked.status_code, asked.content) == (got.status_code, b"")
    changing = {"date", "content-length"} if path == "/metrics" else {"date"}
    assert {k: v for k, v in asked.headers.items() if k not in changing} == {
        k: v for k, v in got.headers.items() if k not in changing
    }


def test_head_of_a_stream_ends(guarded: ServerProcess) -> None:
    asked = requests.head(f"{guarded.page}stream", timeout=DEADLINE)

    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == "text/event-stream; charset=utf-8"


def test_streams_beyond_the_limits_are_refused_until_others_end(guarded: ServerProcess) -> None:
    def status(address: str) -> int:
        return handshake(guarded, **{"X-Forwarded-For": address})

    with ExitStack() as streams:
        for address in ("192.0.2.1", "192.0.2.1"):
            headers = {"X-Forwarded-For": address}
            streams.enter_context(connect(guarded.stream, additional_headers=headers))
        assert status("192.0.2.1") == 429
        third = {"X-Forwarded-For": "192.0.2.2"}
        streams.enter_context(connect(guarded.stream, additional_headers=third))
        assert status("192.0.2.3") == 503
        assert follow(guarded) == 503
        assert ask(guarded).json()["detail"] == "Postgres has not been read yet"

    wait_for(lambda: status("192.0.2.1"), lambda found: found == 101)


def test_every_response_has_the_security_headers(
    locked: ServerProcess, guarded: ServerProcess
) -> None:
    answers = [
        locked.get("/"),
        locked.get("/api/prices"),
        guarded.get("/nothing"),
        ask(guarded, Host="evil.example"),
        ask(guarded, Origin="https://evil.example"),
        guarded.get("/api/prices", exchange="kraken"),
    ]

    assert [answer.status_code for answer in answers] == [200, 401, 404, 421, 403, 422]
    for answer in answers:
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
