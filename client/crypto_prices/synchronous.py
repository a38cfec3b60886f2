"""Follow prices with threads: one keeps the table, the caller iterates or looks prices up."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, Unpack

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from crypto_prices.backoff import Backoff
from crypto_prices.events import Disconnected, Interruption, report
from crypto_prices.options import MAX_MESSAGE_BYTES, Options, headers, parameters
from crypto_prices.pending import Pending
from crypto_prices.price import Key, Price
from crypto_prices.request import refusal, stream_address
from crypto_prices.silence import SILENCE_LIMIT, Silence
from crypto_prices.table import MissedMessageError, Table


class Prices:
    """Live prices of a server, as a context manager. See README.md for the options.

    Entering raises RefusedError if the server refuses the request, and ConnectionError if no prices
    arrive within `open_timeout`; an attempt in progress delays it by up to 15 s.
    Iteration yields every price that is known, then each price that changed; it ends after `close`.
    Iteration and lookups raise RuntimeError before it is entered. All methods may be called from any thread.
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
        self._connection: ClientConnection | None = None
        self._closing = threading.Event()
        self._changed = threading.Condition()
        """Guards table, changes, failure and connection. Notified after each message and at the end."""
        self._thread = threading.Thread(target=self._run, name="crypto prices", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._first_message()
        except BaseException:
            # After an error here, such as KeyboardInterrupt, __exit__ is not called.
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. A waiting iteration ends."""
        with self._changed:
            self._closing.set()
            connection = self._connection
            self._changed.notify_all()
        if connection is not None:
            connection.close()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def __iter__(self) -> Iterator[Price]:
        return self

    def __next__(self) -> Price:
        """Return the next change. If there is none, raise what ended the thread, such as RefusedError."""
        self._require_entered()
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._failure or self._closing.is_set())
            if self._closing.is_set():
                raise StopIteration
            if not self._pending and self._failure is not None:
                raise self._failure
            return self._pending.pop()

    def __getitem__(self, key: Key) -> Price:
        """Return the newest price of an exchange and symbol. Raise KeyError if there is none."""
        with self._current() as table:
            return table.prices[key]

    def __contains__(self, key: object) -> bool:
        with self._current() as table:
            return key in table.prices

    def __len__(self) -> int:
        with self._current() as table:
            return len(table.prices)

    def table(self) -> dict[Key, Price]:
        """Return a copy of all prices, as of one state of the database."""
        with self._current() as table:
            return dict(table.prices)

    @property
    def id(self) -> str | None:
        """Return the id of the database's state that the table shows; None before the first message."""
        with self._current() as table:
            return table.id

    @property
    def skipped(self) -> int:
        """Return the number of changes that later ones replaced, in the server or before iteration."""
        with self._changed:
            return self._skipped_by_server + self._pending.skipped

    @property
    def interruptions(self) -> list[Interruption]:
        """Return the ongoing interruptions of the exchanges."""
        with self._current() as table:
            return list(table.interruptions.values())

    def _require_entered(self) -> None:
        """Raise RuntimeError if no thread was started: nothing would ever arrive."""
        if self._thread.ident is None:
            raise RuntimeError("not open: use `with Prices(…) as prices`")

    @contextmanager
    def _current(self) -> Iterator[Table]:
        """Yield the table under the lock, so that no message changes it. Raise the failure, if any."""
        self._require_entered()
        with self._changed:
            if self._failure is not None:
                raise self._failure
            yield self._table

    def _first_message(self) -> None:
        """Wait for the first state of the table. Raise ConnectionError after `open_timeout`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._table.id is not None or self._failure is not None, self._open_timeout
            )
        with self._current() as table:
            if table.id is None:
                reason = self._last_error or table.why_empty()
                raise ConnectionError(f"no prices in {self._open_timeout:g} s: {reason}")

    def _run(self) -> None:
        """Follow the stream until `close`. Store a failure, which later calls raise."""
        try:
            self._stay_connected()
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _stay_connected(self) -> None:
        backoff = Backoff()
        while not self._closing.is_set():
            try:
                self._connect_and_follow(backoff)
            except (WebSocketException, MissedMessageError, OSError) as error:
                if self._closing.is_set():
                    return
                if (refused := refusal(error)) is not None:
                    raise refused from error
                self._last_error = str(error) or type(error).__name__
                report([Disconnected(self._last_error)], self._on_event)
                self._closing.wait(backoff.wait())

    def _connect_and_follow(self, backoff: Backoff) -> None:
        url, query = self._address_parts
        with connect(
            stream_address(url, query | {"since": self._table.id}),
            additional_headers=self._headers,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=SILENCE_LIMIT,
            # A pong would wait behind a message that arrives slowly.
            ping_interval=None,
            close_timeout=1,
        ) as connection:
            with self._changed:
                self._connection = connection
                self._last_error = None
                self._table.connection_opened()
                if self._closing.is_set():
                    return
            self._follow(connection, backoff)

    def _follow(self, connection: ClientConnection, backoff: Backoff) -> None:
        while True:
            with self._silence.wait() as limit:
                text = connection.recv(timeout=limit)
            message = json.loads(text)
            with self._changed:
                changes, events = self._table.take(message)
                self._pending.add(changes)
                self._skipped_by_server += message.get("skipped", 0)
                self._changed.notify_all()
            backoff.reset()
            report(events, self._on_event)
