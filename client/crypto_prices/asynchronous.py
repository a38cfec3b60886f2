"""Follow prices with asyncio: a task keeps the table, the caller iterates or looks prices up."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, Unpack

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from crypto_prices.backoff import Backoff
from crypto_prices.events import Disconnected, Interruption, report
from crypto_prices.options import MAX_MESSAGE_BYTES, Options, headers, parameters
from crypto_prices.pending import Pending
from crypto_prices.price import Key, Price
from crypto_prices.request import refusal, stream_address
from crypto_prices.silence import SILENCE_LIMIT, Silence
from crypto_prices.table import MissedMessageError, Table


class AsyncPrices:
    """Live prices of a server, as an asynchronous context manager. See README.md for the options.

    Entering raises RefusedError if the server refuses the request, and ConnectionError if no prices
    arrive within `open_timeout`. Iteration yields every price that is known, then each price that changed.
    Iteration and lookups raise RuntimeError before it is entered.
    """

    def __init__(self, url: str, **options: Unpack[Options]) -> None:
        self._address_parts = (url, parameters(options))
        stream_address(*self._address_parts)
        self._headers = headers(options)
        self._on_event = options.get("on_event")
        self._open_timeout = options.get("open_timeout", 10.0)
        self._table = Table()
        self._pending = Pending()
        self._skipped_by_server = 0
        self._failure: Exception | None = None
        self._last_error: str | None = "no attempt has ended yet"
        """Why the connection is not open; None while it is."""
        self._silence = Silence()
        self._changed = asyncio.Event()
        """Set after every message and at the end."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        try:
            await self._first_message()
        except BaseException:
            # After an error here, such as the caller's cancellation, __aexit__ is not called.
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. A waiting iteration ends."""
        if self._task is not None:
            self._task.cancel()
            # Unlike `await self._task`, this raises CancelledError only if the caller is cancelled.
            await asyncio.wait({self._task})

    def __aiter__(self) -> AsyncIterator[Price]:
        return self

    async def __anext__(self) -> Price:
        """Return the next change. Raise RefusedError if the server refuses to go on."""
        task = self._entered()
        while not self._pending:
            if self._failure is not None:
                raise self._failure
            if task.done():
                raise StopAsyncIteration
            await self._next_change()
        return self._pending.pop()

    def __getitem__(self, key: Key) -> Price:
        """Return the newest price of an exchange and symbol. Raise KeyError if there is none."""
        return self._current().prices[key]

    def __contains__(self, key: object) -> bool:
        return key in self._current().prices

    def __len__(self) -> int:
        return len(self._current().prices)

    def table(self) -> dict[Key, Price]:
        """Return a copy of all prices, as of one state of the database."""
        return dict(self._current().prices)

    @property
    def id(self) -> str | None:
        """Return the id of the database's state that the table shows; None before the first message."""
        return self._current().id

    @property
    def skipped(self) -> int:
        """Return the number of changes that later ones replaced, in the server or before iteration."""
        return self._skipped_by_server + self._pending.skipped

    @property
    def interruptions(self) -> list[Interruption]:
        """Return the ongoing interruptions of the exchanges."""
        return list(self._current().interruptions.values())

    def _entered(self) -> asyncio.Task[None]:
        """Return the task. Raise RuntimeError if none was started: nothing would ever arrive."""
        if self._task is None:
            raise RuntimeError("not open: use `async with AsyncPrices(…) as prices`")
        return self._task

    def _current(self) -> Table:
        """Return the table. Raise the failure, if there is one."""
        self._entered()
        if self._failure is not None:
            raise self._failure
        return self._table

    async def _first_message(self) -> None:
        """Wait for the first state of the table. Raise ConnectionError after `open_timeout`."""
        try:
            async with asyncio.timeout(self._open_timeout):
                while self._current().id is None:
                    await self._next_change()
        except TimeoutError as error:
            reason = self._last_error or self._table.why_empty()
            raise ConnectionError(f"no prices in {self._open_timeout:g} s: {reason}") from error

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _run(self) -> None:
        """Follow the stream until `close`. Store a failure, which later calls raise."""
        try:
            await self._stay_connected()
        except Exception as error:
            self._failure = error
        finally:
            self._changed.set()

    async def _stay_connected(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._follow(backoff)
            except (WebSocketException, MissedMessageError, OSError) as error:
                if (refused := refusal(error)) is not None:
                    raise refused from error
                self._last_error = str(error) or type(error).__name__
                report([Disconnected(self._last_error)], self._on_event)
                await asyncio.sleep(backoff.wait())

    async def _follow(self, backoff: Backoff) -> None:
        url, query = self._address_parts
        async with connect(
            stream_address(url, query | {"since": self._table.id}),
            additional_headers=self._headers,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=SILENCE_LIMIT,
            # A pong would wait behind a message that arrives slowly.
            ping_interval=None,
            close_timeout=1,
        ) as connection:
            self._last_error = None
            self._table.connection_opened()
            while True:
                await self._take_message(connection)
                backoff.reset()

    async def _take_message(self, connection: ClientConnection) -> None:
        with self._silence.wait() as limit:
            async with asyncio.timeout(limit):
                text = await connection.recv()
        message = json.loads(text)
        changes, events = self._table.take(message)
        self._pending.add(changes)
        self._skipped_by_server += message.get("skipped", 0)
        self._changed.set()
        report(events, self._on_event)
