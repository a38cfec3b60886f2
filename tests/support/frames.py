"""Provide real frames of both exchanges, and build Kafka records from them."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from exchanges.binance import BINANCE
from spark_jobs.kafka_source.schemas import RECORD
from spark_jobs.tickers.arrow_streams import collected
from spark_jobs.tickers.columns import REDUCED, ddl
from spark_jobs.tickers.messages import messages, minutes, tickers

RECEIVED_AT = 1743147448501233
RECEIPT = datetime(2025, 3, 28, 7, 37, 28, 501233, tzinfo=UTC)
"""The same time as RECEIVED_AT."""

# Two elements of a !miniTicker@arr frame, recorded 2025-03-28.
BTCUSDT: dict[str, Any] = {
    "e": "24hrMiniTicker",
    "E": 1743147448467,
    "s": "BTCUSDT",
    "c": "85439.99000000",
    "o": "87304.35000000",
    "h": "87728.27000000",
    "l": "85300.01000000",
    "v": "20230.79019000",
    "q": "1754434346.25694750",
}
ETHUSDT: dict[str, Any] = {
    "e": "24hrMiniTicker",
    "E": 1743147448251,
    "s": "ETHUSDT",
    "c": "1916.44000000",
    "o": "2024.24000000",
    "h": "2035.92000000",
    "l": "1900.00000000",
    "v": "518500.55270000",
    "q": "1028765226.27080600",
}
# A /market/ticker:all frame, recorded 2025-03-28.
CRO_USDT: dict[str, Any] = {
    "topic": "/market/ticker:all",
    "type": "message",
    "subject": "CRO-USDT",
    "data": {
        "bestAsk": "0.10605",
        "bestAskSize": "2522.2",
        "bestBid": "0.10596",
        "bestBidSize": "2160",
        "price": "0.10604",
        "sequence": "915875484",
        "size": "159.3256",
        "time": 1743147198992,
    },
}


def recorded_kucoin_frames() -> list[dict[str, Any]]:
    """Return the frames in tests/support/data, without their provenance."""
    lines = (Path(__file__).parent / "data" / "kucoin_ticker_all.jsonl").read_text().splitlines()
    return [json.loads(line)["msg"] for line in lines]


def item(frame: dict[str, Any], received_at: int = RECEIVED_AT, **changed: Any) -> dict[str, Any]:
    """Return the Kafka item of a frame. `changed` replaces fields of the ticker."""
    if "data" in frame and not changed.keys() <= frame.keys():
        frame = {**frame, "data": {**frame["data"], **changed}}
    else:
        frame = {**frame, **changed}
    return {**frame, "received_at": received_at}


def microseconds(moment: datetime) -> int:
    """Return the microseconds since the epoch."""
    return round(moment.timestamp() * 1_000_000)


def record(
    items: Any,
    topic: str = BINANCE.raw_topic,
    partition: int = 0,
    offset: int = 0,
    endpoint: str | bytes | None = "stream.binance.com",
    timestamp: datetime | None = None,
) -> Row:
    """Return a Kafka record. `items` are JSON-encoded unless bytes; None is a record without value."""
    if not isinstance(items, bytes | None):
        items = json.dumps(items, ensure_ascii=False).encode()
    if isinstance(endpoint, str):
        endpoint = endpoint.encode()
    headers = [] if endpoint is None else [{"key": "endpoint", "value": bytearray(endpoint)}]
    return Row(
        key=bytearray(f"{topic.split('_')[0]}-{partition}".encode()),
        value=None if items is None else bytearray(items),
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestampType=1,
        headers=headers,
    )


def table(
    spark: SparkSession, rows: Iterable[Sequence[Any]], schema: StructType | str
) -> DataFrame:
    """Return a DataFrame of literal rows. Rows and structs are tuples in the order of the schema."""
    parsed = schema if isinstance(schema, StructType) else StructType.fromDDL(schema)
    assert isinstance(parsed, StructType)
    # Spark reads an Arrow table directly; a list of rows would pass through Python workers.
    arrow = pa.Table.from_pylist(
        [named(row, parsed) for row in rows], to_arrow_schema(parsed, timezone="UTC")
    )
    frame: DataFrame = spark.createDataFrame(arrow, parsed)
    return frame


def named(values: Sequence[Any], schema: StructType) -> dict[str, Any]:
    return {
        field.name: named(value, field.dataType)
        if isinstance(field.dataType, StructType) and value is not None
        else value
        for field, value in zip(schema, values, strict=True)
    }


def records(spark: SparkSession, *rows: Row) -> DataFrame:
    return table(spark, rows, RECORD)


def read(spark: SparkSession, *rows: Row) -> DataFrame:
    """Return the tickers, dead letters and unread fields of Kafka records, as the jobs read them."""
    return records(spark, *rows).transform(messages).transform(tickers)


def reduced(spark: SparkSession, *rows: Row) -> DataFrame:
    """Return the same, reduced to one row per symbol and minute, as the live job's sink gets them."""
    return records(spark, *rows).transform(messages).transform(minutes)


def reduced_rows(spark: SparkSession, streams: DataFrame) -> DataFrame:
    """Return the rows of the Arrow streams that `minutes` returned."""
    frame: DataFrame = spark.createDataFrame(collected(streams, REDUCED), ddl(REDUCED))
    return frame
