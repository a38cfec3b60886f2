"""The thread that reads Postgres: one connection for everybody."""

import logging
import select
import threading
from collections.abc import Callable
from contextlib import closing

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection
from psycopg2.sql import SQL, Identifier

from server.live_prices import Reading
from server.prices import COLUMNS, price_of

log = logging.getLogger(__name__)

LISTEN = "LISTEN live_prices"
LAST_BATCH = "SELECT coalesce(max(id), 0) FROM batches"
PRICES_AFTER = SQL("SELECT {} FROM live_prices WHERE batch_id > %s").format(
    SQL(", ").join(map(Identifier, COLUMNS))
)

FIRST_DELAY, LONGEST_DELAY = 0.25, 5.0
"""Seconds between attempts to connect; doubled from one to the next."""


class DatabaseReader(threading.Thread):
    """Calls `publish`, on its own thread, with a reading of all prices and then of each change.

    LISTEN comes first and then the read of what is newer than the last id, so no batch is missed;
    after a lost connection the same again. Notifications only say that it is worth looking, and may
    coalesce: a reading can span several batches. A last id that went back is another database, and
    all is read anew.
    """

    def __init__(self, url: str, publish: Callable[[Reading], object]) -> None:
        super().__init__(name="database reader", daemon=True)
        self._url = url
        self._publish = publish
        self._stopping = threading.Event()
        self._known: int | None = None
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
                self._stopping.wait(self._delay)
                self._delay = min(2 * self._delay, LONGEST_DELAY)

    def _follow(self, postgres: connection) -> None:
        """Reads and waits in turn, until `stop`. Raises psycopg2.Error: connect again."""
        with postgres, postgres.cursor() as cursor:
            cursor.execute(LISTEN)
        log.info("listening to Postgres, last known batch %s", self._known)
        while not self._stopping.is_set():
            reading = read(postgres, self._known)
            self._delay = FIRST_DELAY
            if reading.id != self._known:
                self._known = reading.id
                self._publish(reading)
            self._wait(postgres)

    def _wait(self, postgres: connection) -> None:
        readable = select.poll()
        readable.register(postgres, select.POLLIN)
        while not self._stopping.is_set():
            # First: a notification may have come in with the answer to the last query.
            postgres.poll()
            if postgres.notifies:
                postgres.notifies.clear()
                return
            readable.poll(500)


def connect(url: str) -> connection:
    """A connection that notices within half a minute that the other side is gone.

    Raises psycopg2.OperationalError.
    """
    postgres = psycopg2.connect(
        url,
        application_name="server",
        connect_timeout=5,
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    postgres.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    return postgres


def read(postgres: connection, since: int | None) -> Reading:
    """The rows of all batches after `since` (None: all rows), and the last id, in one snapshot."""
    with postgres, postgres.cursor() as cursor:
        cursor.execute(LAST_BATCH)
        (last,) = cursor.fetchall()[0]
        previous = since if since is not None and since <= last else None
        cursor.execute(PRICES_AFTER, (previous or 0,))
        return Reading(last, previous, [price_of(row) for row in cursor])
