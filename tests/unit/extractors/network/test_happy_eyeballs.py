"""Test connecting to a host with several addresses, some of them unreachable."""

import socket
import time
from threading import Event
from typing import Any

import pytest

from extractors.network.deadline import Deadline
from extractors.network.happy_eyeballs import Address, connect, first_connected, interleaved
from tests.support.sockets import dead_address, resolving_to, tcp_server
from tests.support.waiting import DEADLINE

V4, V6 = socket.AF_INET, socket.AF_INET6


def says_its_name(connection: socket.socket) -> None:
    connection.sendall(b"good")


def loopback(host: str, port: int) -> Address:
    return Address(V4, (host, port))


def test_families_alternate_and_the_systems_first_choice_stays_first() -> None:
    addresses = [
        Address(V6, ("::1", 1, 0, 0)),
        Address(V6, ("::2", 1, 0, 0)),
        Address(V6, ("::3", 1, 0, 0)),
        Address(V4, ("127.0.0.1", 1)),
    ]
    assert [each.sockaddr[0] for each in interleaved(addresses)] == [
        "::1",
        "127.0.0.1",
        "::2",
        "::3",
    ]


def test_address_that_never_answers_costs_a_quarter_of_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tcp_server(says_its_name) as port, dead_address("127.0.0.2", port):
        found = resolving_to(port, "127.0.0.2", "127.0.0.1")
        monkeypatch.setattr("socket.getaddrinfo", found)
        started = time.monotonic()
        with connect("exchange.example", port, Deadline(DEADLINE)) as connection:
            assert 0.25 <= time.monotonic() - started < DEADLINE / 2
            assert connection.recv(4) == b"good"


def test_address_that_refuses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    # Twenty delays would take longer than the deadline.
    monkeypatch.setattr("extractors.network.happy_eyeballs.ATTEMPT_DELAY", 10.0)
    with tcp_server(says_its_name) as port:
        addresses = [loopback("127.0.0.3", port)] * 20 + [loopback("127.0.0.1", port)]
        with first_connected("x", addresses, Deadline(DEADLINE)) as connection:
            connection.setblocking(True)
            assert connection.recv(4) == b"good"


def test_addresses_that_all_refuse_are_named_with_their_reasons() -> None:
    with tcp_server(says_its_name) as port:
        addresses = [loopback("127.0.0.3", port), loopback("127.0.0.4", port)]
        with pytest.raises(ConnectionError) as error:
            first_connected("x", addresses, Deadline(DEADLINE))
    assert str(error.value) == "127.0.0.3: Connection refused; 127.0.0.4: Connection refused"


def test_addresses_that_are_all_dead_are_given_up_at_the_deadline() -> None:
    with dead_address("127.0.0.2") as port:
        addresses = [loopback("127.0.0.2", port)] * 3
        started = time.monotonic()
        with pytest.raises(TimeoutError, match=r"^no connection to x within 0\.6 s$"):
            first_connected("x", addresses, Deadline(0.6))
        assert 0.6 <= time.monotonic() - started < 10


def test_host_without_addresses_is_an_error() -> None:
    with pytest.raises(ConnectionError, match=r"^x has no address$"):
        first_connected("x", [], Deadline(DEADLINE))


def test_invalid_host_name_is_an_os_error() -> None:
    with pytest.raises(OSError, match=r" is not a host name: "):
        connect("x" * 70, 1, Deadline(DEADLINE))


def test_name_server_that_does_not_answer_is_given_up_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = Event()

    def never(*_: object, **__: object) -> list[Any]:
        released.wait(DEADLINE)
        return []

    monkeypatch.setattr("socket.getaddrinfo", never)
    try:
        with pytest.raises(TimeoutError, match=r"^name exchange\.example not resolved within 0\.2"):
            connect("exchange.example", 1, Deadline(0.2))
    finally:
        released.set()
