"""Transform Kafka records of topic `exchange_candles` into candles, on the executors.

The driver gets them as Arrow streams in a BINARY column: rows with amounts would be converted twice in the
JVM, which takes as long as reading them.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.exchange_candles.columns import CANDLE_READ
from spark_jobs.exchange_candles.reader import read_candles
from spark_jobs.tickers.columns import arrow_schema

STREAM = "candles"


def candles(records: DataFrame) -> DataFrame:
    """Return Arrow streams with columns.CANDLE_READ. One task reads a batch, so it takes one core."""
    # A number, because a record's timestamp may be one that Python's datetime can't hold.
    timestamp = F.unix_micros("timestamp").alias("timestamp")
    messages = records.select("value", "topic", "partition", "offset", timestamp)
    return messages.coalesce(1).mapInArrow(_streams, f"{STREAM} BINARY")


def _streams(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        found = read_candles(batch)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, found.schema) as stream:
            stream.write_table(found)
        yield pa.record_batch({STREAM: pa.array([sink.getvalue().to_pybytes()], pa.binary())})


def collected(batch: DataFrame) -> pa.Table:
    """Return the rows, with columns.CANDLE_READ, of a batch that `candles` returned."""
    streams = batch.toArrow()[STREAM]
    tables = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in streams]
    return pa.concat_tables(tables) if tables else arrow_schema(CANDLE_READ).empty_table()
