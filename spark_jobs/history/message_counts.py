"""Count the items of each message by result: tickers, items without a price, dead letters.

The rows that the live job makes of a message are returned as well. Both come from one reading, so the
counts are those of the jobs' reader.
"""

from functools import partial

import polars as pl
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.tickers.columns import (
    IS_DEAD_LETTER,
    IS_TICKER,
    IS_UNREAD,
    MESSAGE,
    REDUCED,
    ddl,
    polars_schema,
)
from spark_jobs.tickers.messages import endpoint, read_batches
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reducer import reduce_to_minutes

IS_MESSAGE = "message"
"""Kind of a row for a message.

`stamped_at` is Kafka's timestamp, `digest` a hash of the record. `tickers`, `no_price` and `dead` are
numbers of items; `received_at` is when the first item was received.
"""
IS_RECEIPT = "receipt"
"""Kind of a row for a minute of received_at: `updates` items of a partition were received in it."""

COUNTED = {
    **REDUCED,
    "stamped_at": "TIMESTAMP",
    "digest": "BIGINT",
    **dict.fromkeys(("tickers", "no_price", "dead"), "BIGINT"),
}

NOTHING = pl.DataFrame(schema=polars_schema(COUNTED))
MESSAGE_KEY = ("topic", "partition", "offset")
PARTITION = ("exchange", "topic", "partition")

_is_ticker = pl.col("kind") == IS_TICKER
_has_no_price = (pl.col("kind") == IS_UNREAD) & (pl.col("field") == "price")
_is_dead = pl.col("kind") == IS_DEAD_LETTER


def counted(records: DataFrame) -> DataFrame:
    """Return rows with COUNTED from Kafka records with schemas.RECORD."""
    messages = records.select("*", endpoint().alias("endpoint"), digest().alias("digest"))
    return messages.select(*MESSAGE, "digest").mapInArrow(
        partial(read_batches, read_and_count, COUNTED), ddl(COUNTED)
    )


def digest() -> Column:
    """Return a hash of key, value, headers and timestamp."""
    return F.xxhash64("key", "value", "headers", "timestamp")


def read_and_count(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows with COUNTED from messages with columns.MESSAGE and `digest`."""
    read = read_messages(messages.select(*MESSAGE))
    parts = [NOTHING, reduce_to_minutes(read), _messages(messages, read), _receipts(read)]
    return pl.concat(parts, how="diagonal")


def _messages(messages: pl.DataFrame, read: pl.DataFrame) -> pl.DataFrame:
    """Return one row per message, also for a message without items."""
    found = read.group_by(MESSAGE_KEY).agg(
        _is_ticker.sum().cast(pl.Int64).alias("tickers"),
        _has_no_price.sum().cast(pl.Int64).alias("no_price"),
        _is_dead.sum().cast(pl.Int64).alias("dead"),
        pl.col("received_at").min(),
    )
    return (
        messages.select(*MESSAGE_KEY, "digest", pl.col("timestamp").alias("stamped_at"))
        .join(found, on=MESSAGE_KEY, how="left")
        .with_columns(
            pl.col("tickers", "no_price", "dead").fill_null(0),
            pl.col("topic").replace_strict(EXCHANGE_OF_TOPIC).alias("exchange"),
            pl.lit(IS_MESSAGE).alias("kind"),
        )
    )


def _receipts(read: pl.DataFrame) -> pl.DataFrame:
    """Return one row per partition and minute of receipt.

    Items without received_at are skipped: no extractor wrote them.
    """
    items = read.filter(_is_ticker | _has_no_price | _is_dead, pl.col("received_at").is_not_null())
    return (
        items.with_columns(pl.col("received_at").dt.truncate("1m").alias("minute"))
        .group_by(*PARTITION, "minute")
        .agg(pl.len().cast(pl.Int64).alias("updates"))
        .with_columns(pl.lit(IS_RECEIPT).alias("kind"))
    )
