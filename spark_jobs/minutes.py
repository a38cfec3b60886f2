"""A batch of tickers reduced to what Postgres needs: a row per symbol and minute, and each dead letter."""

from functools import cache

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.newer import age_order
from spark_jobs.schemas import CANDLE, TICKER

# An exchange's clock may be ahead of ours by so much.
AHEAD_LIMIT = "INTERVAL 5 MINUTES"


def per_minute(tickers: DataFrame) -> DataFrame:
    """The newest ticker and the candle of each (exchange, symbol, partition, minute of event_time).

    Columns of schemas.TICKER, `reason`, those of schemas.CANDLE that a ticker has not, and of the
    tickers that the row stands for `first_offset` and `last_offset`. A ticker with a `reason` is a row of
    its own. `minute` is NULL where no candle can be: see minute(). A symbol's newest ticker is the newest
    of its rows. A symbol keeps to one partition, but where it does not, offsets must not be mixed.

    One pass: all of it is the aggregation of one group.
    """
    return tickers.groupBy(*keys()).agg(*aggregates()).select(*columns())


# Each name in a column is a call to the JVM, some 250 in all of these, and a small batch takes 0.15 s. A
# column belongs to no DataFrame, so they are made once.


@cache
def keys() -> list[Column]:
    is_dead = F.col("reason").isNotNull()
    own_place = F.when(is_dead, F.struct("topic", "partition", "offset", "position"))
    # Spark sorts by these, and compares the first by its first eight bytes before all else.
    return [
        *(F.col(name) for name in ("symbol", "exchange", "partition")),
        own_place.alias("own_place"),
        minute().alias("minute"),
    ]


@cache
def aggregates() -> list[Column]:
    by_sequence = F.struct("sequence", "price")
    return [
        F.max_by(F.struct(*TICKER, "reason"), age_order()).alias("newest"),
        F.min(by_sequence).alias("first"),
        F.max(by_sequence).alias("last"),
        F.max("price").alias("high"),
        F.min("price").alias("low"),
        F.count("*").alias("updates"),
        F.min("offset").alias("first_offset"),
        F.max("offset").alias("last_offset"),
    ]


@cache
def columns() -> list[Column]:
    of_candle = {
        "open": F.col("first.price"),
        "close": F.col("last.price"),
        "open_sequence": F.col("first.sequence"),
        "close_sequence": F.col("last.sequence"),
    }
    return [
        F.col("newest.*"),
        *(of_candle.get(name, F.col(name)).alias(name) for name in CANDLE if name not in TICKER),
        *(F.col(name) for name in ("first_offset", "last_offset")),
    ]


def minute() -> Column:
    """That of event_time; NULL when it lies too far ahead of the receipt to be true."""
    is_plausible = F.col("event_time") <= F.col("received_at") + F.expr(AHEAD_LIMIT)
    return F.when(is_plausible, F.date_trunc("minute", "event_time"))
