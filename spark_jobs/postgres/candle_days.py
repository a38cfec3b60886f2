"""Create and drop the partitions of candles_1m, one per day in UTC.

A partition is created when it is first needed, sorted after its day is over (candle_sorting.py) and
dropped after the retention. `now` is the time of Postgres's clock.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from psycopg2.extensions import cursor

RETENTION = timedelta(days=90)
"""Default of the parameters; programs pass CANDLES_RETENTION_DAYS, which has the same default."""
SORT_DELAY = timedelta(hours=1)
"""Wait after the end of a day before it is sorted: tickers may still arrive."""

# fillfactor 50 leaves room for the next version of each row: the rows of a minute are adjacent, are all
# updated about once a second, and never again after that minute. ATTACH, because CREATE TABLE ...
# PARTITION OF would wait for every reader, and every reader for it.
MAKE_DAY = """
CREATE TABLE {name} (LIKE candles_1m) WITH (
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
ALTER TABLE candles_1m ATTACH PARTITION {name} FOR VALUES FROM (%(start)s) TO (%(end)s)
"""

UNSORTED_BEFORE = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = 'candles_1m'::regclass AND relname < %s
    AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = inhrelid AND indisclustered)
ORDER BY relname LIMIT 1
"""

OLDEST_BEFORE = """
SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
WHERE inhparent = %s::regclass AND relname < %s
ORDER BY relname LIMIT 1
"""


def retained_span(now: datetime, kept: timedelta = RETENTION) -> tuple[datetime, datetime]:
    """Return [since, until) of the stored minutes, in whole days: from `kept` before today through tomorrow.

    Around midnight an event_time may be ahead of `now`.
    """
    today = _midnight(now.astimezone(UTC).date())
    return today - kept, today + timedelta(days=2)


def make_days(statements: cursor, days: Iterable[date]) -> None:
    """Create the missing partitions of these days."""
    for day in sorted(days):
        name = _partition(day)
        statements.execute("SELECT to_regclass(%s) IS NULL", (name,))
        if statements.fetchone() == (True,):
            bounds = {"start": _midnight(day), "end": _midnight(day + timedelta(days=1))}
            statements.execute(MAKE_DAY.format(name=name), bounds)


def next_unsorted_day(statements: cursor, until: datetime) -> str | None:
    """Return the partition of the oldest unsorted day that ended before `until`, if any."""
    statements.execute(UNSORTED_BEFORE, (_partition(until.astimezone(UTC).date()),))
    found: tuple[str] | None = statements.fetchone()
    return found[0] if found else None


def drop_a_day(statements: cursor, now: datetime, kept: timedelta = RETENTION) -> None:
    """Drop the partition of the oldest day if it is older than `kept`."""
    since, _until = retained_span(now, kept)
    drop_oldest_before(statements, "candles_1m", _partition(since.date()))


def drop_oldest_before(statements: cursor, table: str, partition: str) -> None:
    """Drop the table's first partition by name, if its name sorts before `partition`."""
    statements.execute(OLDEST_BEFORE, (table, partition))
    for (name,) in statements.fetchall():
        statements.execute(f"DROP TABLE {name}")


def _partition(day: date) -> str:
    """Return a name such as candles_1m_20261122. Names sort in the order of their days."""
    return f"candles_1m_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
