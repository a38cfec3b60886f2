"""Connect to the first address of a host that answers, as in RFC 8305 ("Happy Eyeballs").

A name may have several addresses, and some may never answer, for example behind a broken IPv6 route.
Each further address is tried in parallel, 250 ms after the previous one or as soon as an attempt fails,
so an unreachable address costs at most 250 ms.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from queue import Empty, SimpleQueue
from selectors import EVENT_WRITE, DefaultSelector
from threading import Thread
from typing import NamedTuple

from extractors.network.deadline import Deadline

ATTEMPT_DELAY = 0.25
"""Seconds from one attempt to the next: the "Connection Attempt Delay" that RFC 8305 recommends."""


class Address(NamedTuple):
    """Argument of socket.connect(), with its family: AF_INET or AF_INET6."""

    family: int
    sockaddr: tuple[str | int | bytes, ...]


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a connected TCP socket in blocking mode. Raise OSError, also at the deadline."""
    addresses = interleaved(resolve(host, port, deadline))
    connection = first_connected(host, addresses, deadline)
    connection.setblocking(True)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def resolve(host: str, port: int, deadline: Deadline) -> list[Address]:
    """Return the host's addresses in the system's order of preference.

    The lookup can't be interrupted: its thread may outlive the deadline.
    """
    answers: SimpleQueue[list[Address] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([Address(family, sockaddr) for family, _, _, _, sockaddr in found])
        except OSError as error:
            answers.put(error)
        except ValueError as error:
            answers.put(OSError(f"{host!r} is not a host name: {error}"))

    Thread(target=look_up, name=f"name lookup {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except Empty:
        raise deadline.timeout(f"name {host} not resolved") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Return the addresses with alternating families, starting with that of the first address."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    rounds = zip_longest(*families.values())
    return [address for address in chain.from_iterable(rounds) if address is not None]


def first_connected(host: str, addresses: Iterable[Address], deadline: Deadline) -> socket.socket:
    """Return a non-blocking socket, connected to the address that answered first."""
    waiting = deque(addresses)
    failures: dict[str, None] = {}
    next_attempt = 0.0
    with DefaultSelector() as selector:
        try:
            while waiting or selector.get_map():
                now = time.monotonic()
                if waiting and (now >= next_attempt or not selector.get_map()):
                    address = waiting.popleft()
                    next_attempt = now + ATTEMPT_DELAY
                    try:
                        selector.register(_begin_to_connect(address), EVENT_WRITE, address)
                    except OSError as error:
                        failures[_failure(address, error.errno)] = None
                        next_attempt = now
                    continue
                timeout = deadline.left()
                if not timeout:
                    raise deadline.timeout(f"no connection to {host}")
                if waiting:
                    timeout = min(timeout, next_attempt - now)
                for key, _ in selector.select(timeout):
                    attempt = key.fileobj
                    assert isinstance(attempt, socket.socket)
                    selector.unregister(attempt)
                    number = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not number:
                        return attempt
                    attempt.close()
                    failures[_failure(key.data, number)] = None
                    next_attempt = now
        finally:
            for key in list(selector.get_map().values()):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.close()
    raise ConnectionError("; ".join(failures) or f"{host} has no address")


def _begin_to_connect(address: Address) -> socket.socket:
    attempt = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        attempt.setblocking(False)
        with suppress(BlockingIOError):
            attempt.connect(address.sockaddr)
    except OSError:
        attempt.close()
        raise
    return attempt


def _failure(address: Address, number: int | None) -> str:
    return f"{address.sockaddr[0]!s}: {os.strerror(number or 0)}"
