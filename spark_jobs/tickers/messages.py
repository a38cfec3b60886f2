"""Transform Kafka records into messages, and messages into tickers, minutes or parquet files, on executors.

Apply the functions of spark_jobs.tickers to DataFrames. They run in Spark's Python workers, which
receive and return whole Arrow batches: see docs/decisions/018-one-reader-over-arrow.md.
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
from spark_jobs.tickers.arrow_streams import SCHEMA, as_streams
from spark_jobs.tickers.columns import (
    IS_TICKER,
    MESSAGE,
    READ,
    REDUCED,
    TICKER,
    TICKER_FILE,
    as_frame,
    as_table,
    ddl,
)
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reducer import reduce_to_minutes

HOST = r"[A-Za-z0-9.:_\[\]-]{1,255}"
"""A host with an optional port. Anybody may have written a header, so its bytes are checked."""


def messages(records: DataFrame) -> DataFrame:
    """Return columns.MESSAGE of Kafka records with the columns of schemas.RECORD."""
    return records.withColumn("endpoint", endpoint()).select(*MESSAGE)


def endpoint() -> Column:
    """Return the host that the message's frames came from; NULL without a valid header."""
    named = F.filter("headers", lambda header: header["key"] == ENDPOINT_HEADER)
    host = F.get(named, 0)["value"].cast("string")
    # \z, because $ would also match before a final line break.
    return F.when(host.rlike(rf"^{HOST}\z"), host)


def tickers(messages: DataFrame) -> DataFrame:
    """Return columns.READ: the tickers, the dead letters, and the fields that can't be read."""
    return messages.mapInArrow(partial(read_batches, read_messages, READ), ddl(READ))


def minutes(messages: DataFrame) -> DataFrame:
    """Return Arrow streams with columns.REDUCED: a row per symbol and minute, and what can't be read.

    Each Arrow batch of messages is one stream. A symbol stays in one partition, and a partition in one
    task, so nothing is shuffled. A symbol in two streams, which is rare, has a row in each; the sink merges
    them.
    """
    return messages.mapInArrow(_minutes, SCHEMA)


def _minutes(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return as_streams(read_tables(read_and_reduce, REDUCED, batches))


def ticker_files(messages: DataFrame) -> DataFrame:
    """Return columns.TICKER_FILE: the parquet files of each task's tickers."""
    return messages.mapInArrow(partial(_files, read_messages), ddl(TICKER_FILE))


def files_of_rows(tickers: DataFrame) -> DataFrame:
    """Return columns.TICKER_FILE of rows with columns.TICKER."""
    return tickers.select(*TICKER).mapInArrow(partial(_files, _as_read), ddl(TICKER_FILE))


def _as_read(tickers: pl.DataFrame) -> pl.DataFrame:
    return tickers.with_columns(kind=pl.lit(IS_TICKER))


def read_and_reduce(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.REDUCED from messages with columns.MESSAGE."""
    return reduce_to_minutes(read_messages(messages))


TICKERS_PER_SORT = 500_000
"""About 300 MB in a Python worker while they are sorted."""


def _files(
    read_batch: Callable[[pl.DataFrame], pl.DataFrame], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    _freeze_imports()
    for read in _concatenated(read_batch(as_frame(batch)) for batch in batches):
        yield from as_table(files.ticker_files(read), TICKER_FILE).to_batches()


def _concatenated(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Join frames into ones of at least TICKERS_PER_SORT rows; the last may have fewer."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(map(len, waiting)) >= TICKERS_PER_SORT:
            yield pl.concat(waiting)
            waiting.clear()
    if waiting:
        yield pl.concat(waiting)


@cache
def _freeze_imports() -> None:
    """Make garbage collections skip every module that is loaded by now.

    Spark's Python worker runs a full collection after each task. With polars, pyarrow and pyspark in
    memory this takes 50 ms, and the next task waits for it.
    """
    gc.freeze()


def read_batches(
    transform: Callable[[pl.DataFrame], pl.DataFrame],
    columns: Mapping[str, str],
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.RecordBatch]:
    """Apply `transform` to each Arrow batch, as mapInArrow calls it. `columns` are those of the result."""
    for table in read_tables(transform, columns, batches):
        yield from table.to_batches()


def read_tables(
    transform: Callable[[pl.DataFrame], pl.DataFrame],
    columns: Mapping[str, str],
    batches: Iterable[pa.RecordBatch],
) -> Iterator[pa.Table]:
    """Apply `transform` to each Arrow batch. `columns` are those of the result."""
    _freeze_imports()
    for batch in batches:
        yield as_table(transform(as_frame(batch)), columns)
