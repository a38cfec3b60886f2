"""Follow live prices in Postgres in one thread, over one connection for all clients."""

import logging
import select
import threading
import time
from collections.abc import Callable, Mapping, Set
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

from exchanges import EXCHANGE
from server.state.interruptions import Interruption, recent_interruptions
from server.state.price_table import Key, Reading
from server.state.prices import PRICES_AFTER, price_of
from server.state.running_candles import newest_candles
from server.state.unreadable import Unreadable, unreadable_of

log = logging.getLogger(__name__)

LISTEN = "LISTEN live_prices"

# The first column identifies the cluster, its timeline (new after a restore), the file of `batches` (new
# after TRUNCATE or in another database) and the instruments: a changed row has a later `seen_at`, so the
# sum grows. While this column is the same, ids only grow. The query reads pg_class in the snapshot;
# pg_relation_filenode('batches') could return the file of a later commit.
STATE = """
SELECT concat_ws('/', system_identifier, timeline_id,
        (SELECT relfilenode FROM pg_class WHERE oid = 'batches'::regclass),
        (SELECT (count(*), sum(extract(epoch FROM seen_at))) FROM instruments)),
    (SELECT coalesce(max(id), 0) FROM batches)
FROM pg_control_system(), pg_control_checkpoint()
"""

FIRST_DELAY, LONGEST_DELAY = 0.25, 2.0
"""Seconds between attempts to connect, doubled after each failure up to the longest."""

POLL_INTERVAL = 2.0
"""Seconds without a notification after which the thread queries Postgres, to check that it answers."""

FEEDS_EVERY = 1.0
"""Minimum seconds between two queries of unreadable shares and interruptions, which change slowly."""

ANSWER_LIMIT = 5.0
"""Seconds without a byte of an answer after which Postgres counts as unavailable."""

# Let Postgres cancel a query that the server has given up on. SET is used, because pgbouncer refuses
# libpq's `options`.
LIMIT_QUERIES = f"SET statement_timeout = '{ANSWER_LIMIT:.0f}s'"


class State(NamedTuple):
    """State of the database at one query."""

    epoch: str
    """Fingerprint of the database and its instruments."""
    last_batch: int


class Listener(threading.Thread):
    """Call `publish` with a reading of all prices, then with a reading of each change.

    No batch is missed: on each connection, LISTEN is sent before the rows newer than the last id are
    read. A notification only triggers a query. Notifications may coalesce, so a reading can span
    several batches. All rows are read again if the database is another one, if its last id went back, or if
    the instruments changed.

    `away` is called when Postgres becomes unavailable, `back` when it can be read again. A Postgres
    that hangs counts as unavailable if psycopg2's wait callback is `wait_with_timeout`. `feeds_read`
    is called every 1 to 3 s with the unreadable shares and the newest interruptions, whether or not
    batches come. `candles_wanted` returns the symbols whose candles are read with their changes. All
    callbacks run on this thread.
    """

    def __init__(
        self,
        url: str,
        *,
        publish: Callable[[Reading], object],
        away: Callable[[datetime], object],
        back: Callable[[], object],
        candles_wanted: Callable[[], Set[Key]],
        feeds_read: Callable[[Mapping[str, Unreadable], list[Interruption]], object],
    ) -> None:
        super().__init__(name="database listener", daemon=True)
        self._url = url
        self._publish = publish
        self._away = away
        self._back = back
        self._candles_wanted = candles_wanted
        self._feeds_read = feeds_read
        self._feeds_due = time.monotonic()
        self._stopping = threading.Event()
        self._known: State | None = None
        self._away_since: datetime | None = None
        self._delay = FIRST_DELAY

    def stop(self) -> None:
        self._stopping.set()
        # Wait 2 s at most: Postgres may not answer.
        self.join(2)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(connect(self._url)) as postgres:
                    self._follow(postgres)
            except psycopg2.Error as error:
                reason = " ".join(str(error).split())
                log.warning("read failed retry_in=%.2f reason=%r", self._delay, reason)
                if self._away_since is None:
                    self._away_since = datetime.now(UTC)
                    self._away(self._away_since)
                self._stopping.wait(self._delay)
                self._delay = min(2 * self._delay, LONGEST_DELAY)

    def _follow(self, postgres: connection) -> None:
        """Read and wait in turn until `stop`. Raise psycopg2.Error if the connection is lost."""
        with postgres, postgres.cursor() as statements:
            statements.execute(LISTEN)
        log.info("listening last_known=%s", self._known)
        while not self._stopping.is_set():
            self._read_changes(postgres)
            self._delay = FIRST_DELAY
            self._wait(postgres)

    def _read_changes(self, postgres: connection) -> None:
        with postgres, postgres.cursor() as statements:
            state = look(statements)
            reading = None
            if state != self._known:
                reading = read(statements, state, self._known, self._candles_wanted())
            feeds = read_feeds(statements) if time.monotonic() >= self._feeds_due else None
        if self._away_since is not None:
            self._away_since = None
            self._back()
        # Report the feeds before the prices: the first reading of prices makes the server ready.
        if feeds is not None:
            self._feeds_due = time.monotonic() + FEEDS_EVERY
            self._feeds_read(*feeds)
        if reading is not None:
            self._known = state
            self._publish(reading)

    def _wait(self, postgres: connection) -> None:
        """Return after a notification, after `stop`, or after POLL_INTERVAL."""
        poller = select.poll()
        poller.register(postgres, select.POLLIN)
        end = time.monotonic() + POLL_INTERVAL
        while not self._stopping.is_set() and time.monotonic() < end:
            # Poll first: a notification may have arrived with the answer to the last query.
            postgres.poll()
            if postgres.notifies:
                postgres.notifies.clear()
                return
            poller.poll(500)


def wait_with_timeout(postgres: connection) -> None:
    """Wait callback of psycopg2: return when the answer is complete.

    Raise psycopg2.OperationalError after ANSWER_LIMIT without a byte; psycopg2 then closes the
    connection.
    """
    while (awaited := postgres.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(postgres, select.POLLIN if awaited == POLL_READ else select.POLLOUT)
        if not poller.poll(1000 * ANSWER_LIMIT):
            raise psycopg2.OperationalError(f"no answer in {ANSWER_LIMIT:.0f} s")


def connect(url: str) -> connection:
    """Return a read-only connection. Raise psycopg2.OperationalError if Postgres is unavailable."""
    postgres = psycopg2.connect(url, application_name="server")
    try:
        # No transaction: if the connection is lost here, the rollback's error would hide the first error.
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
    """Return the state, in the same snapshot as later reads of this transaction."""
    statements.execute(STATE)
    ((epoch, last_batch),) = statements.fetchall()
    return State(f"{crc32(epoch.encode()):08x}", last_batch)


def read_feeds(statements: cursor) -> tuple[dict[str, Unreadable], list[Interruption]]:
    return unreadable_of(statements), recent_interruptions(statements)


def read(
    statements: cursor, state: State, known: State | None, candles_wanted: Set[Key]
) -> Reading:
    """Return the rows written after the known batch, and the wanted candles of their symbols.

    Return all rows if no batch is known, if the epoch is another one, or if the last id went back.
    """
    continues = (
        known is not None and known.epoch == state.epoch and known.last_batch <= state.last_batch
    )
    previous = known.last_batch if known is not None and continues else None
    # The jobs may be of a later version that has more exchanges.
    statements.execute(PRICES_AFTER, (previous or 0, list(EXCHANGE)))
    prices = [price_of(row) for row in statements]
    changed = {(price.exchange, price.symbol) for price in prices}
    candles = newest_candles(statements, candles_wanted & changed)
    return Reading(state.epoch, state.last_batch, previous, prices, candles)
