"""The thread that reads Postgres: one connection for everybody."""

import logging
import select
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple
from zlib import crc32

import psycopg2
from psycopg2.extensions import (
    ISOLATION_LEVEL_REPEATABLE_READ,
    POLL_OK,
    POLL_READ,
    connection,
    cursor,
)

from server.state.price_table import Key, Reading
from server.state.prices import PRICES_AFTER, price_of
from server.state.unreadable import Unreadable, unreadable_of

log = logging.getLogger(__name__)

LISTEN = "LISTEN live_prices"

# A cluster, restored or not, a database and a table that was not emptied: there ids only grow. pg_class is
# read in the snapshot; pg_relation_filenode('batches') could already return the file of a later commit.
STATE = """
SELECT concat_ws('/', system_identifier, timeline_id,
        (SELECT relfilenode FROM pg_class WHERE oid = 'batches'::regclass)),
    (SELECT coalesce(max(id), 0) FROM batches),
    (SELECT (count(*), max(seen_at))::text FROM instruments)
FROM pg_control_system(), pg_control_checkpoint()
"""
QUOTES = "SELECT exchange, symbol, quote FROM instruments"

FIRST_DELAY, LONGEST_DELAY = 0.25, 2.0
"""Seconds between attempts to connect; doubled from one to the next."""

QUIET_LIMIT = 2.0
"""Seconds without a notification after which a look shows whether Postgres is still there."""

LAST_MINUTE_EVERY = 1.0
"""Seconds between two reads of what could not be read in the last minute: it changes slowly."""

ANSWER_LIMIT = 5.0
"""Seconds without a byte of an answer after which Postgres is away, even if its host is there."""

# A query that nobody waits for any longer ends as well. Not by libpq's `options`: pgbouncer refuses them.
LIMIT_QUERIES = f"SET statement_timeout = '{ANSWER_LIMIT:.0f}s'"


class State(NamedTuple):
    """What a look found."""

    epoch: str
    last_batch: int
    instruments: str
    """Another text when they have changed."""


class Listener(threading.Thread):
    """Calls `publish`, on its own thread, with a reading of all prices and then of each change.

    LISTEN comes first and then the read of what is newer than the last id, so no batch is missed;
    after a lost connection the same again. Notifications only say that it is worth looking, and may
    coalesce: a reading can span several batches. Where another database is found, or a last id that
    went back, all is read anew. `away` is called when Postgres is lost, `back` when it is read again;
    one that hangs is lost where psycopg2 waits by `answered_in_time`. `last_minute` is called every
    second or two with what could not be read, whether or not batches come.
    """

    def __init__(
        self,
        url: str,
        *,
        publish: Callable[[Reading], object],
        away: Callable[[datetime], object],
        back: Callable[[], object],
        last_minute: Callable[[Mapping[str, Unreadable]], object],
    ) -> None:
        super().__init__(name="database reader", daemon=True)
        self._url = url
        self._publish = publish
        self._away = away
        self._back = back
        self._last_minute = last_minute
        self._last_minute_due = time.monotonic()
        self._stopping = threading.Event()
        self._known: State | None = None
        self.away_since: datetime | None = None
        self._delay = FIRST_DELAY

    def stop(self) -> None:
        self._stopping.set()
        # A Postgres that does not answer must not hold up the end.
        self.join(2)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(connect(self._url)) as postgres:
                    self._follow(postgres)
            except psycopg2.Error as error:
                reason = " ".join(str(error).split())
                log.warning("reading prices: %s; again in %.2f s", reason, self._delay)
                if self.away_since is None:
                    self.away_since = datetime.now(UTC)
                    self._away(self.away_since)
                self._stopping.wait(self._delay)
                self._delay = min(2 * self._delay, LONGEST_DELAY)

    def _follow(self, postgres: connection) -> None:
        """Reads and waits in turn, until `stop`. Raises psycopg2.Error: connect again."""
        with postgres, postgres.cursor() as statements:
            statements.execute(LISTEN)
        log.info("listening to Postgres, last known: %s", self._known)
        while not self._stopping.is_set():
            self._look(postgres)
            self._delay = FIRST_DELAY
            self._wait(postgres)

    def _look(self, postgres: connection) -> None:
        with postgres, postgres.cursor() as statements:
            state = look(statements)
            reading = None if state == self._known else read(statements, state, self._known)
            unreadable = unreadable_of(statements) if self._is_last_minute_due() else None
        if self.away_since is not None:
            self.away_since = None
            self._back()
        # Before the prices: the first of them would make the server ready.
        if unreadable is not None:
            self._last_minute(unreadable)
        if reading is not None:
            self._known = state
            self._publish(reading)

    def _is_last_minute_due(self) -> bool:
        is_due = time.monotonic() >= self._last_minute_due
        if is_due:
            self._last_minute_due = time.monotonic() + LAST_MINUTE_EVERY
        return is_due

    def _wait(self, postgres: connection) -> None:
        """For a notification, `stop`, or a quiet while."""
        readable = select.poll()
        readable.register(postgres, select.POLLIN)
        end = time.monotonic() + QUIET_LIMIT
        while not self._stopping.is_set() and time.monotonic() < end:
            # First: a notification may have come in with the answer to the last query.
            postgres.poll()
            if postgres.notifies:
                postgres.notifies.clear()
                return
            readable.poll(500)


def answered_in_time(postgres: connection) -> None:
    """psycopg2's wait callback: returns when the answer is there.

    Raises psycopg2.OperationalError when nothing comes for ANSWER_LIMIT: the connection is of no use
    then, and psycopg2 closes it.
    """
    while (awaited := postgres.poll()) != POLL_OK:
        answer = select.poll()
        answer.register(postgres, select.POLLIN if awaited == POLL_READ else select.POLLOUT)
        if not answer.poll(1000 * ANSWER_LIMIT):
            raise psycopg2.OperationalError(f"no answer in {ANSWER_LIMIT:.0f} s")


def connect(url: str) -> connection:
    """Raises psycopg2.OperationalError."""
    postgres = psycopg2.connect(url, application_name="server")
    try:
        # In a transaction, the rollback's own error would replace that of a connection which is lost again.
        postgres.autocommit = True
        with postgres.cursor() as statements:
            statements.execute(LIMIT_QUERIES)
        postgres.autocommit = False
        postgres.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    except BaseException:
        postgres.close()
        raise
    return postgres


def look(statements: cursor) -> State:
    """In one snapshot with what is read in the same transaction."""
    statements.execute(STATE)
    ((database, last_batch, instruments),) = statements.fetchall()
    return State(f"{crc32(database.encode()):08x}", last_batch, instruments)


def read(statements: cursor, state: State, known: State | None) -> Reading:
    """What the batches after the known one wrote, if it is of this database; else all rows."""
    continues = (
        known is not None and known.epoch == state.epoch and known.last_batch <= state.last_batch
    )
    previous = known.last_batch if known is not None and continues else None
    quotes: Mapping[Key, str] | None = None
    if known is None or previous is None or known.instruments != state.instruments:
        statements.execute(QUOTES)
        quotes = {(exchange, symbol): quote for exchange, symbol, quote in statements}
    statements.execute(PRICES_AFTER, (previous or 0,))
    prices = [price_of(row) for row in statements]
    return Reading(state.epoch, state.last_batch, previous, prices, quotes)
