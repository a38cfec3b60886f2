"""Resolve the hosts in the URL of Postgres before libpq does."""

import asyncio
import socket
import threading
from threading import Event
from typing import Any

import psycopg2
import pytest

from server.rest.query_connection import resolved
from tests.support.waiting import DEADLINE

ADDRESSES = {"one.invalid": ["192.0.2.1", "2001:db8::1"], "two.invalid": ["192.0.2.2"]}


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve names below .invalid to ADDRESSES only, and everything else as usual."""
    original = socket.getaddrinfo

    def resolve(host: str, *parameters: Any, **options: Any) -> list[tuple[Any, ...]]:
        if not host.endswith(".invalid"):
            return [*original(host, *parameters, **options)]
        if host not in ADDRESSES:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(0, socket.SOCK_STREAM, 0, "", (address, 0)) for address in ADDRESSES[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            "one.invalid:5433",
            {
                "host": "one.invalid,one.invalid",
                "hostaddr": "192.0.2.1,2001:db8::1",
                "port": "5433",
            },
        ),
        ("two.invalid", {"host": "two.invalid", "hostaddr": "192.0.2.2"}),
        (
            "none.invalid,two.invalid",
            {"host": "two.invalid", "hostaddr": "192.0.2.2", "port": ""},
        ),
        (
            "one.invalid,two.invalid",
            {
                "host": "one.invalid,one.invalid,two.invalid",
                "hostaddr": "192.0.2.1,2001:db8::1,192.0.2.2",
                "port": "",
            },
        ),
        ("[::1]:5433", {"host": "::1", "hostaddr": "::1", "port": "5433"}),
    ],
)
def test_each_address_of_a_host_is_tried_under_its_name(
    place: str, expected: dict[str, str]
) -> None:
    """The name is what TLS verifies."""
    url = f"postgresql://reader:secret@{place}/prices?sslmode=verify-full"
    assert asyncio.run(resolved(url)) == {
        "user": "reader",
        "password": "secret",
        "dbname": "prices",
        "sslmode": "verify-full",
        **expected,
    }


def test_a_look_up_that_hangs_does_not_hold_up_the_end_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_asked, may_answer = Event(), Event()

    def hang(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        is_asked.set()
        assert may_answer.wait(DEADLINE)
        return []

    async def asked_and_abandoned() -> None:
        asking = asyncio.create_task(resolved("postgresql://reader:secret@one.invalid/prices"))
        async with asyncio.timeout(DEADLINE):
            while not is_asked.is_set():
                await asyncio.sleep(0.01)
        asking.cancel()

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    try:
        asyncio.run(asked_and_abandoned())
        (resolver,) = (each for each in threading.enumerate() if each.name == "resolver")
        assert resolver.daemon
    finally:
        may_answer.set()
    resolver.join(DEADLINE)


@pytest.mark.parametrize(
    "host", ["none.invalid", "none.invalid,other.invalid", f"{'a' * 64}.example"]
)
def test_a_host_that_can_not_be_resolved_is_named(host: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=f"^can't resolve {host}$"):
        asyncio.run(resolved(f"postgresql://reader:secret@{host}/prices"))
