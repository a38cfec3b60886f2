"""The days of candles_1m: a partition for each, in UTC.

Made when first needed, sorted when it is over (candle_sorting.py), dropped when it is too old.
`now` is Postgres' clock.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from psycopg2.extensions import cursor

RETENTION = timedelta(days=90)
"""Unless CANDLES_RETENTION_DAYS says otherwise."""
LATE_TICKERS = timedelta(hours=1)

# The rows of a minute lie side by side, are all written about once a second, and then never again:
# room for the next version of each. Attached, because creating a table as a partition would wait for
# every reader, and every reader for it.
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
WHERE inhparent = 'candles_1m'::regclass AND relname < %s
ORDER BY relname LIMIT 1
"""


def kept_span(now: datetime, kept: timedelta = RETENTION) -> tuple[datetime, datetime]:
    """[since, until) of the minutes that have a candle: whole days, from `kept` before today to tomorrow."""
    today = _midnight(now.astimezone(UTC).date())
    return today - kept, today + timedelta(days=2)


def make_days(statements: cursor, days: Iterable[date]) -> None:
    """Create the partitions of these days, where they are missing."""
    for day in sorted(days):
        name = _partition(day)
        statements.execute("SELECT to_regclass(%s) IS NULL", (name,))
        if statements.fetchone() == (True,):
            bounds = {"start": _midnight(day), "end": _midnight(day + timedelta(days=1))}
            statements.execute(MAKE_DAY.format(name=name), bounds)


def next_unsorted_day(statements: cursor, until: datetime) -> str | None:
    """Return the table of the oldest day that ended before `until` and is not sorted yet, if any."""
    statements.execute(UNSORTED_BEFORE, (_partition(until.astimezone(UTC).date()),))
    found: tuple[str] | None = statements.fetchone()
    return found[0] if found else None


def drop_a_day(statements: cursor, now: datetime, kept: timedelta = RETENTION) -> None:
    """Drop the oldest day if it lies before those that are kept."""
    since, _until = kept_span(now, kept)
    statements.execute(OLDEST_BEFORE, (_partition(since.date()),))
    for (name,) in statements.fetchall():
        statements.execute(f"DROP TABLE {name}")


def _partition(day: date) -> str:
    """candles_1m_20261122: names sort as days do."""
    return f"candles_1m_{day:%Y%m%d}"


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
