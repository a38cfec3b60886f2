"""Query Postgres for REST answers, over one connection and one query at a time."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from typing import Any

import psycopg2
from psycopg2.errors import LockNotAvailable, QueryCanceled
from psycopg2.extensions import POLL_OK, POLL_READ, connection, parse_dsn

from server.errors import unavailable

log = logging.getLogger(__name__)

DEADLINE = 5.0
"""Timeout of a query in seconds, including the wait for earlier queries and for a connection."""

# statement_timeout ends abandoned queries: Postgres notices a closed connection only when it sends data.
# lock_timeout ends a query of a day that is being sorted: others wait behind it.
SESSION = """
SELECT set_config('statement_timeout', %(timeout)s, false),
    set_config('lock_timeout', '1s', false),
    set_config('default_transaction_read_only', 'on', false)
"""


TIMEOUTS = (LockNotAvailable, QueryCanceled)
"""Errors of SESSION's timeouts. psycopg2 also counts them as OperationalError."""


class QueryConnection:
    """Connect on the first query and after a lost connection, without blocking the event loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turn = asyncio.Lock()
        self._postgres: connection | None = None

    async def rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return all rows. Raise HTTPException: 503 if Postgres does not return them within DEADLINE."""
        try:
            async with asyncio.timeout(DEADLINE), self._turn:
                return await self._rows(query, values)
        except (psycopg2.Error, TimeoutError) as error:
            reason = " ".join(str(error).split()) or f"no answer in {DEADLINE:.0f} s"
            log.warning("query failed reason=%r", reason)
            raise unavailable("Postgres does not answer") from error

    def close(self) -> None:
        if self._postgres is not None:
            self._postgres.close()

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        kept, self._postgres = self._postgres, None
        if kept is not None:
            # On a connection lost since the last query, retry once on a new one.
            try:
                return await self._run(kept, query, values)
            except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                if isinstance(error, TIMEOUTS):
                    raise
        fresh = await _connect(self._url)
        return await self._run(fresh, query, values)

    async def _run(
        self, postgres: connection, query: str, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        rows = await _fetch(postgres, query, values)
        self._postgres = postgres
        return rows


async def _connect(url: str) -> connection:
    parameters: dict[str, Any] = await resolved(url) | {"application_name": "server queries"}
    postgres: connection = psycopg2.connect(**parameters, async_=True)
    await _fetch(postgres, SESSION, {"timeout": f"{DEADLINE} s"})
    return postgres


async def resolved(url: str) -> dict[str, str]:
    """Return libpq's parameters of the URL, with the addresses of its hosts.

    libpq would resolve a host name while psycopg2 holds the GIL, so the whole process would wait for a
    resolver that does not answer. Raise psycopg2.OperationalError if no host name can be resolved.
    """
    parameters = parse_dsn(url)
    names = parameters["host"].split(",")
    found = [(name, address) for name in names for address in await _addresses(name)]
    if not found:
        raise psycopg2.OperationalError(f"can't resolve {parameters['host']}")
    hosts, addresses = zip(*found, strict=True)
    if "port" in parameters:
        # libpq writes "," for two hosts without ports, and there are now more hosts. Only a single host has a
        # port (core/postgres_url.py).
        parameters["port"] = parameters["port"].strip(",")
    return parameters | {"host": ",".join(hosts), "hostaddr": ",".join(addresses)}


async def _addresses(host: str) -> list[str]:
    """Return the addresses of a host; none if it can't be resolved.

    Look them up in a daemon thread: on exit, the process would wait for one of the event loop's executor.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[str]] = loop.create_future()

    def set_answer(addresses: list[str]) -> None:
        if not answer.cancelled():
            answer.set_result(addresses)

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        # The loop may be closed by now.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(set_answer, [str(address[0]) for *_, address in found])

    Thread(target=look_up, name="resolver", daemon=True).start()
    return await answer


async def _fetch(
    postgres: connection, query: str, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Return all rows of a query. Close the connection on any error or cancellation."""
    try:
        await _wait(postgres)
        with postgres.cursor() as cursor:
            cursor.execute(query, values)
            await _wait(postgres)
            return cursor.fetchall()
    except BaseException:
        postgres.close()
        raise


async def _wait(postgres: connection) -> None:
    """Return when the connection is open or the answer complete. Raise psycopg2.Error."""
    loop = asyncio.get_running_loop()
    while (awaited := postgres.poll()) != POLL_OK:
        descriptor_ready = asyncio.Event()
        descriptor = postgres.fileno()
        if awaited == POLL_READ:
            loop.add_reader(descriptor, descriptor_ready.set)
        else:
            loop.add_writer(descriptor, descriptor_ready.set)
        try:
            await descriptor_ready.wait()
        finally:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
