"""Fill the tickers' table with past days, in files as price_history commits them each minute."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import polars as pl

from benchmarks.harness.ticks import SECOND, messages
from core.settings import Settings
from infra.services import object_store
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.tickers.log import TickerLog, added_file
from spark_jobs.lake.tickers.progress import Progress
from spark_jobs.tickers.columns import MESSAGE, polars_schema
from spark_jobs.tickers.files import ticker_files
from spark_jobs.tickers.reader import read_messages

Put = Callable[[str, bytes], object]
"""Function that writes a file of the table, from its path in the table and its content."""


def noon(days_ago: int) -> datetime:
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    return today - timedelta(days=days_ago)


def write_minutes(log: TickerLog, put: Put, minutes: int, until: datetime) -> None:
    """Write and commit the tickers of `minutes` minutes before `until`, a minute at a time."""
    for batch in minutes_of_messages(minutes, round(until.timestamp() * SECOND)):
        added = []
        for file in ticker_files(read_messages(batch)).to_dicts():
            added.append(added_file(file, round(until.timestamp() * 1000)))
            put(added[-1].path, file["content"])
        before = log.progress
        log.append(added, Progress(before.writer, before.batch + 1, before.next_offsets))


def fill_bucket(settings: Settings, days: int, minutes: int) -> None:
    """Write `minutes` minutes of each of the last `days` days to tickers/ in the bucket."""
    path, options = f"{lake_root(settings)}/tickers", object_store.storage_options(settings)
    log = TickerLog.open(path, options, uuid4().hex)
    store = object_store.client(settings)

    def put(path: str, content: bytes) -> None:
        store.put_object(Bucket=settings.s3_bucket, Key=f"tickers/{path}", Body=content)

    for days_ago in range(1, days + 1):
        write_minutes(log, put, minutes, noon(days_ago))


def minutes_of_messages(minutes: int, until: int) -> Iterator[pl.DataFrame]:
    """Yield the messages of each minute, with columns.MESSAGE but without Kafka's timestamp.

    The last minute ends at `until`, in microseconds.
    """
    offsets: Counter[tuple[str, int]] = Counter()
    for left in reversed(range(minutes)):
        rows = []
        for each in messages(60, until - left * 60 * SECOND):
            offset = offsets[each.topic, each.partition]
            offsets[each.topic, each.partition] += 1
            rows.append((each.value, "127.0.0.1", None, each.topic, each.partition, offset))
        yield pl.DataFrame(rows, polars_schema(MESSAGE), orient="row")
