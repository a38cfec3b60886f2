"""What is asked of Postgres beside the stream: one connection, one query at a time."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, connection

from server.errors import unavailable

log = logging.getLogger(__name__)

DEADLINE = 5.0
"""Seconds for a query, with its wait for the ones before it and for a connection."""

# A query does not end with its connection, but only when it has something to send.
SESSION = """
SELECT set_config('statement_timeout', %(timeout)s, false),
    set_config('default_transaction_read_only', 'on', false)
"""


class QueryConnection:
    """Connects when it is needed and again when the connection was lost; never blocks the loop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._turn = asyncio.Lock()
        self._postgres: connection | None = None

    async def rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """All rows. Raises HTTPException, 503, when Postgres did not give them in time."""
        try:
            async with asyncio.timeout(DEADLINE), self._turn:
                return await self._rows(query, values)
        except (psycopg2.Error, TimeoutError) as error:
            reason = " ".join(str(error).split()) or f"no answer in {DEADLINE:.0f} s"
            log.warning("asking Postgres: %s", reason)
            raise unavailable("Postgres does not answer") from error

    def close(self) -> None:
        if self._postgres is not None:
            self._postgres.close()

    async def _rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        kept, self._postgres = self._postgres, None
        if kept is not None:
            # It may have been lost since the last query.
            with suppress(psycopg2.OperationalError, psycopg2.InterfaceError):
                return await self._ask(kept, query, values)
        fresh = await _connected(self._url)
        return await self._ask(fresh, query, values)

    async def _ask(
        self, postgres: connection, query: str, values: Mapping[str, Any]
    ) -> list[tuple[Any, ...]]:
        rows = await _answer(postgres, query, values)
        self._postgres = postgres
        return rows


async def _connected(url: str) -> connection:
    # On another thread: the host's name is looked up in the call.
    postgres: connection = await asyncio.to_thread(
        psycopg2.connect, url, application_name="server queries", async_=True
    )
    await _answer(postgres, SESSION, {"timeout": f"{DEADLINE} s"})
    return postgres


async def _answer(
    postgres: connection, query: str, values: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """The connection is closed when anything goes wrong, or when nobody waits any longer."""
    try:
        await _ready(postgres)
        with postgres.cursor() as cursor:
            cursor.execute(query, values)
            await _ready(postgres)
            return cursor.fetchall()
    except BaseException:
        postgres.close()
        raise


async def _ready(postgres: connection) -> None:
    """Returns when the connection, or the answer, is there. Raises psycopg2.Error."""
    loop = asyncio.get_running_loop()
    while (awaited := postgres.poll()) != POLL_OK:
        can_go_on = asyncio.Event()
        descriptor = postgres.fileno()
        if awaited == POLL_READ:
            loop.add_reader(descriptor, can_go_on.set)
        else:
            loop.add_writer(descriptor, can_go_on.set)
        try:
            await can_go_on.wait()
        finally:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
