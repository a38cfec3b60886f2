"""The server process without Postgres: it runs, reports what is unavailable, and ends on a signal."""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from subprocess import CompletedProcess

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.process import run
from tests.support.server import DEADLINE, ServerProcess, free_port, running_server

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with running_server(f"postgresql://reader:secret@127.0.0.1:{free_port()}/none") as server:
        yield server


def test_it_is_healthy_without_postgres(server: ServerProcess) -> None:
    answer = server.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_prices_are_unavailable_until_postgres_was_read(server: ServerProcess) -> None:
    answer = server.get("/api/prices")

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "Postgres has not been read yet",
    }


def test_a_bad_parameter_is_named_with_its_value(server: ServerProcess) -> None:
    answer = server.get("/api/prices", exchange="kraken", symbol="")

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Unprocessable Entity", 422)
    assert problem["detail"].startswith("exchange='kraken': ")
    assert [(e["parameter"], e["value"]) for e in problem["errors"]] == [
        ("exchange", "kraken"),
        ("symbol", ""),
    ]


def test_a_parameter_that_does_not_exist_is_refused(server: ServerProcess) -> None:
    answer = server.get("/api/prices", exchagne="binance")

    assert answer.status_code == 422
    assert [e["parameter"] for e in answer.json()["errors"]] == ["exchagne"]


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/../app.py", "/%2e%2e/app.py"])
def test_an_unknown_path_is_a_problem(server: ServerProcess, path: str) -> None:
    # requests would normalize the path before it sends it.
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()

    assert answer.status == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_method_that_is_not_allowed_is_a_problem(server: ServerProcess) -> None:
    answer = requests.post(f"{server.page}api/prices", timeout=DEADLINE)

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["title"] == "Method Not Allowed"


def test_the_page_runs_no_inline_script(server: ServerProcess) -> None:
    answer = server.get("/")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "style=" not in answer.text
    assert answer.text.count("<script") == answer.text.count('<script type="module" src="app.js">')


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_streams_with_1001_and_exits_with_0(end: signal.Signals) -> None:
    with running_server(f"postgresql://reader:secret@127.0.0.1:{free_port()}/none") as server:
        with connect(server.stream) as client:
            server.signal(end)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    client.recv(DEADLINE)

        assert server.wait(server.stop_limit) == 0
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1001,
        "the server is shutting down",
    )


def test_a_wrong_setting_is_refused_by_name_and_value() -> None:
    server = run_server(2, SERVER_PORT="eighty")

    assert "SERVER_PORT='eighty'" in server.stderr


def test_a_host_beyond_loopback_requires_a_key() -> None:
    server = run_server(2, SERVER_HOST="0.0.0.0")

    assert server.stderr.strip() == (
        "SERVER_HOST='0.0.0.0': others can reach it, so SERVER_API_KEY is needed"
    )


def test_a_busy_port_is_refused_by_number(server: ServerProcess) -> None:
    second = run_server(3, SERVER_HOST="127.0.0.1", SERVER_PORT=str(server.port))

    assert f"('127.0.0.1', {server.port}): address already in use" in second.stderr


def test_a_shared_port_that_another_program_has_is_refused_by_number(server: ServerProcess) -> None:
    ports = {"SERVER_PORT": str(free_port()), "SERVER_SHARED_PORT": str(server.port)}
    second = run_server(3, **ports)

    assert f"SERVER_SHARED_PORT={server.port}: [Errno 98] Address already in use" in second.stderr


def run_server(status: int, /, **environment: str) -> CompletedProcess[str]:
    """Run the server until it ends with this exit status."""
    return run([sys.executable, "-m", "server"], environment, status=status)
