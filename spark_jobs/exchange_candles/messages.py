"""Transform Kafka records of topic `exchange_candles` into candles, on the executors."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from spark_jobs.exchange_candles.columns import CANDLE_READ
from spark_jobs.exchange_candles.reader import read_candles
from spark_jobs.tickers.columns import ddl


def candles(records: DataFrame) -> DataFrame:
    """Return columns.CANDLE_READ of Kafka records. One task reads a batch, so it takes one core."""
    messages = records.select("value", "topic", "partition", "offset").coalesce(1)
    return messages.mapInArrow(_read, ddl(CANDLE_READ))


def _read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from read_candles(batch).to_batches()
