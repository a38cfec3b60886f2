"""Kafka records to messages, and messages to tickers or minutes, on the executors.

The functions of spark_jobs.tickers over DataFrames. They run in Spark's Python workers, which receive and
return whole Arrow batches: see docs/decisions/018-one-reader-over-arrow.md.
"""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial

import polars as pl
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.message import ENDPOINT_HEADER
from spark_jobs.tickers import files
from spark_jobs.tickers.columns import (
    MESSAGE,
    READ,
    REDUCED,
    TICKER_FILE,
    as_frame,
    as_table,
    ddl,
)
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reducer import reduce_to_minutes

HOST = r"[A-Za-z0-9.:_\[\]-]{1,255}"
"""A host, perhaps with a port. Headers are bytes that anybody may have written."""


def messages(records: DataFrame) -> DataFrame:
    """Columns of columns.MESSAGE, of Kafka records with those of schemas.RECORD."""
    return records.withColumn("endpoint", endpoint()).select(*MESSAGE)


def endpoint() -> Column:
    """The host that the message's frames came from; NULL where no header says."""
    named = F.filter("headers", lambda header: header["key"] == ENDPOINT_HEADER)
    host = F.get(named, 0)["value"].cast("string")
    # $ would allow a line end.
    return F.when(host.rlike(rf"^{HOST}\z"), host)


def tickers(messages: DataFrame) -> DataFrame:
    """Columns of columns.READ: the tickers, the dead letters, and the fields that can't be read."""
    return messages.mapInArrow(partial(read_batches, read_messages, READ), ddl(READ))


def minutes(messages: DataFrame) -> DataFrame:
    """Columns of columns.REDUCED: a row per symbol and minute of each Arrow batch, and all else.

    A symbol keeps to one partition, and a partition to one task, so nothing is shuffled. A symbol that is
    in two Arrow batches has a row of each: whoever writes them merges what is rare.
    """
    return messages.mapInArrow(partial(read_batches, read_and_reduce, REDUCED), ddl(REDUCED))


def ticker_files(messages: DataFrame) -> DataFrame:
    """Columns of columns.TICKER_FILE: of each task the parquet files of its tickers."""
    return messages.mapInArrow(_files, ddl(TICKER_FILE))


def read_and_reduce(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.REDUCED of messages with columns.MESSAGE."""
    return reduce_to_minutes(read_messages(messages))


# Some 300 MB in a Python worker, while they are sorted.
MOST_TICKERS_OF_A_FILE = 500_000


def _files(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    _spare_the_collector()
    for read in _together(read_messages(as_frame(batch)) for batch in batches):
        yield from as_table(files.ticker_files(read), TICKER_FILE).to_batches()


def _together(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows of several frames in one, each of MOST_TICKERS_OF_A_FILE or a little more."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) >= MOST_TICKERS_OF_A_FILE:
            yield pl.concat(waiting)
            waiting.clear()
    if waiting:
        yield pl.concat(waiting)


@cache
def _spare_the_collector() -> None:
    """Keep all that was imported out of garbage collections.

    Spark's Python worker collects everything after each task, which takes 50 ms with polars, pyarrow and
    pyspark in memory, and the next task waits for it.
    """
    gc.freeze()


def read_batches(
    transform: Callable[[pl.DataFrame], pl.DataFrame],
    columns: Mapping[str, str],
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    _spare_the_collector()
    for batch in batches:
        yield from as_table(transform(as_frame(batch)), columns).to_batches()
