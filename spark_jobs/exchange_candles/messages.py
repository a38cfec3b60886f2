"""Transform Kafka records of topic `exchange_candles` into candles, on the executors."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.exchange_candles.reader import read_candles
from spark_jobs.tickers.arrow_streams import SCHEMA, as_streams


def candles(records: DataFrame) -> DataFrame:
    """Return Arrow streams with columns.CANDLE_READ. One task reads a batch, so it takes one core."""
    # A number, because a record's timestamp may be one that Python's datetime can't hold.
    timestamp = F.unix_micros("timestamp").alias("timestamp")
    messages = records.select("value", "topic", "partition", "offset", timestamp)
    return messages.coalesce(1).mapInArrow(_streams, SCHEMA)


def _streams(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return as_streams(map(read_candles, batches))
