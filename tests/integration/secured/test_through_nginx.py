"""Read the prices of a secured stack through nginx with TLS: REST, WebSocket and SSE, with the key."""

import json
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from infra.stack import Stack
from infra.up import EXTRACTORS
from tests.integration.secured.conftest import SITE, STREAMS_PER_ADDRESS
from tests.support.event_stream import EventStream
from tests.support.nginx import Nginx, nginx
from tests.support.waiting import wait_for

TIMEOUT = 60.0
HANDSHAKES = 4
HANDSHAKE_TIMEOUT = 15.0


def key(stack: Stack) -> dict[str, str]:
    return {"X-API-Key": stack.settings.server_api_key}


def ask(proxy: Nginx, path: str, headers: dict[str, str]) -> requests.Response:
    return requests.get(
        f"{proxy.address}{path}", headers=headers, verify=str(proxy.authority), timeout=TIMEOUT
    )


@contextmanager
def web_socket(proxy: Nginx, headers: dict[str, str], source: str) -> Iterator[ClientConnection]:
    """Open the WebSocket from an address of this machine, such as 127.0.0.2.

    websockets' blocking client misses the answer to about one of 150 handshakes over TLS, so repeat the
    handshake. nginx is not at fault: a client that reads the TLS socket itself gets every answer.
    """
    for attempt in range(HANDSHAKES):
        try:
            stream = _connect(proxy, headers, source)
        except TimeoutError:
            if attempt == HANDSHAKES - 1:
                raise
        else:
            with stream:
                yield stream
            return


def _connect(proxy: Nginx, headers: dict[str, str], source: str) -> ClientConnection:
    plain = socket.create_connection(
        ("127.0.0.1", proxy.port), timeout=TIMEOUT, source_address=(source, 0)
    )
    try:
        return connect(
            f"wss://127.0.0.1:{proxy.port}/ws",
            sock=plain,
            ssl=ssl.create_default_context(cafile=str(proxy.authority)),
            additional_headers=headers,
            open_timeout=HANDSHAKE_TIMEOUT,
            max_size=None,
        )
    except BaseException:
        plain.close()
        raise


def test_rest_answers_prices_of_every_exchange_with_the_key_only(
    secured: Stack, proxy: Nginx
) -> None:
    refused = ask(proxy, "/api/prices", {})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    answer = ask(proxy, "/api/prices", key(secured))
    assert answer.status_code == 200
    assert {price["exchange"] for price in answer.json()["prices"]} == {*EXTRACTORS}


def assert_changes_follow(first: dict[str, Any], receive: Callable[[], dict[str, Any]]) -> None:
    """Assert that changed prices follow, without a gap.

    Before them may come heartbeats, and another snapshot when a new stack gets its instruments.
    """
    previous = first
    while (message := receive())["type"] != "changes":
        is_snapshot = message["type"] == "snapshot"
        assert message["previous"] == (None if is_snapshot else previous["id"])
        previous = message
    assert message["previous"] == previous["id"]
    assert message["prices"]


def test_web_socket_sends_prices_as_they_change(secured: Stack, proxy: Nginx) -> None:
    with web_socket(proxy, key(secured), "127.0.0.1") as stream:
        first = json.loads(stream.recv(TIMEOUT))
        assert {price["exchange"] for price in first["prices"]} == {*EXTRACTORS}
        assert_changes_follow(first, lambda: dict(json.loads(stream.recv(TIMEOUT))))
    with pytest.raises(InvalidStatus) as refused, web_socket(proxy, {}, "127.0.0.1"):
        pass
    assert refused.value.response.status_code == 401


def test_event_stream_sends_prices_as_they_change(secured: Stack, proxy: Nginx) -> None:
    with requests.get(
        f"{proxy.address}/stream",
        headers=key(secured),
        verify=str(proxy.authority),
        stream=True,
        timeout=TIMEOUT,
    ) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        events = EventStream(response)
        first = events.receive()
        assert {price["exchange"] for price in first["prices"]} == {*EXTRACTORS}
        assert_changes_follow(first, events.receive)


def connections_to(port: int) -> set[int]:
    """Return the clients' ports of the open connections to a port of this machine."""
    return {
        each.laddr.port
        for each in psutil.net_connections("tcp")
        if each.laddr and each.raddr and each.raddr.port == port
        if each.status == psutil.CONN_ESTABLISHED
    }


def test_connection_to_the_server_stays_open_between_requests(secured: Stack, proxy: Nginx) -> None:
    assert ask(proxy, "/api/feeds", key(secured)).ok
    kept = connections_to(secured.settings.server_port)
    assert ask(proxy, "/api/feeds", key(secured)).ok
    assert connections_to(secured.settings.server_port) & kept


def test_host_of_a_listed_site_is_served_and_another_is_refused(
    secured: Stack, proxy: Nginx
) -> None:
    hosts = {
        urlsplit(SITE).hostname: 200,
        "attacker.example": 421,
    }
    for host, status in hosts.items():
        answer = ask(proxy, "/api/prices", key(secured) | {"Host": str(host)})
        assert (host, answer.status_code) == (host, status)


def test_session_cookie_is_secure_because_the_proxy_forwards_the_protocol(
    secured: Stack, proxy: Nginx
) -> None:
    address = f"{proxy.address}/session"
    trusted = str(proxy.authority)
    answer = requests.post(address, headers=key(secured), verify=trusted, timeout=TIMEOUT)
    assert answer.ok
    attributes = {each.strip() for each in answer.headers["set-cookie"].split(";")}
    assert {"Secure", "HttpOnly"} <= attributes


def test_streams_are_limited_by_the_clients_address_which_it_cant_forge(
    secured: Stack, proxy: Nginx
) -> None:
    with ExitStack() as streams:
        for number in range(STREAMS_PER_ADDRESS):
            forged = key(secured) | {"X-Forwarded-For": f"192.0.2.{number}"}
            streams.enter_context(web_socket(proxy, forged, "127.0.0.2"))
        forged = key(secured) | {"X-Forwarded-For": "192.0.2.9"}
        with pytest.raises(InvalidStatus) as refused, web_socket(proxy, forged, "127.0.0.2"):
            pass
        assert refused.value.response.status_code == 429
        streams.enter_context(web_socket(proxy, key(secured), "127.0.0.3"))


def test_worker_may_open_two_descriptors_for_each_connection_that_it_accepts(
    tmp_path: Path,
) -> None:
    with nginx(1, tmp_path):
        master = psutil.Process(int((tmp_path / "nginx.pid").read_text()))
        (worker,) = wait_for(master.children)
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        assert re.findall(r"^Max open files +(\d+) +(\d+)", limits, re.M) == [("8192", "8192")]
