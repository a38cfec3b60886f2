"""Create and drop the partitions of exchange_candles: one per interval and period, in UTC.

A partition is created when it is first needed, and dropped when its newest candle is older than the
retention of its interval.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa
from psycopg2.extensions import cursor

from spark_jobs.postgres.candle_days import drop_oldest_before

HOURS_KEPT = timedelta(days=366)
"""Retention of candles of an hour. That of minutes is CANDLES_RETENTION_DAYS."""
DAYS_KEPT = timedelta(days=3653)
"""Retention of candles of a day."""


class Period(NamedTuple):
    """Partitions of one interval."""

    name: str
    """strftime format of the start, the last part of the partition's name."""
    start: Callable[[datetime], datetime]
    """Return the start of the partition of a time."""
    length: timedelta
    """At least the length of a partition, and less than that of two."""


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


PERIODS = {
    "1m": Period("%Y%m%d", _midnight, timedelta(days=1)),
    "1h": Period("%Y%m", lambda at: _midnight(at).replace(day=1), timedelta(days=31)),
    "1d": Period("%Y", lambda at: _midnight(at).replace(month=1, day=1), timedelta(days=366)),
}
"""Partitions by interval: days of minutes, months of hours, years of days."""

MAKE_PARTITION = """
CREATE TABLE {name} (LIKE exchange_candles_{interval} INCLUDING CONSTRAINTS);
ALTER TABLE exchange_candles_{interval}
    ATTACH PARTITION {name} FOR VALUES FROM (%(start)s) TO (%(end)s)
"""

DELETE_SPANS = """
DELETE FROM exchange_candle_spans
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM exchange_candle_spans WHERE received_at < %(until)s LIMIT %(rows)s
))
"""


def kept_since(now: datetime, minutes_kept: timedelta) -> dict[str, datetime]:
    """Return the start of the oldest partition that is kept, by interval. `now` is Postgres's time."""
    kept = {"1m": minutes_kept, "1h": HOURS_KEPT, "1d": DAYS_KEPT}
    now = now.astimezone(UTC)
    return {interval: period.start(now - kept[interval]) for interval, period in PERIODS.items()}


def make_partitions(statements: cursor, candles: pa.Table) -> None:
    """Create the missing partitions of candles with `interval` and `start`."""
    starts = candles.group_by(["interval", "start"]).aggregate([]).to_pylist()
    needed = {(row["interval"], PERIODS[row["interval"]].start(row["start"])) for row in starts}
    for interval, start in sorted(needed):
        name = partition(interval, start)
        statements.execute("SELECT to_regclass(%s) IS NULL", (name,))
        if statements.fetchone() == (True,):
            end = PERIODS[interval].start(start + PERIODS[interval].length)
            statements.execute(
                MAKE_PARTITION.format(name=name, interval=interval), {"start": start, "end": end}
            )


def drop_a_partition(statements: cursor, now: datetime, minutes_kept: timedelta) -> None:
    """Drop the oldest partition of each interval if all its candles are too old."""
    for interval, since in kept_since(now, minutes_kept).items():
        drop_oldest_before(statements, f"exchange_candles_{interval}", partition(interval, since))


def delete_old_spans(statements: cursor, until: datetime, rows: int) -> bool:
    """Delete up to `rows` spans that were received before `until`. Return whether there may be more."""
    statements.execute(DELETE_SPANS, {"until": until, "rows": rows})
    return statements.rowcount == rows


def partition(interval: str, start: datetime) -> str:
    """Return a name such as exchange_candles_1m_20261122. Names sort in the order of their periods."""
    return f"exchange_candles_{interval}_{start.astimezone(UTC):{PERIODS[interval].name}}"
