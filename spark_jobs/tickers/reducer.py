"""Reduce tickers to one row per symbol and minute, with the newest ticker and the candle.

Items and fields that could not be read are counted by cause.
"""

from datetime import timedelta

import polars as pl

from spark_jobs.tickers.columns import IS_DEAD_LETTER, IS_TICKER, REDUCED, polars_schema
from spark_jobs.tickers.letters.reducer import reduce_letters
from spark_jobs.tickers.ticker_order import AGE, polars_age_order

AHEAD_LIMIT = timedelta(minutes=5)
"""Maximum lead of an exchange's clock over ours."""

KEY = ("exchange", "symbol", "topic", "partition", "minute")

DECIDING = ("exchange", "symbol", "topic", "price", *AGE)
"""Columns of tickers that decide about the row of a minute."""

CAUSE = ("exchange", "topic", "partition", "field", "reason")
"""Columns by which fields without a value are counted."""

NOTHING = pl.DataFrame(schema=polars_schema(REDUCED))
COUNTS = (
    pl.len().cast(pl.Int64).alias("updates"),
    pl.col("offset").min().alias("first_offset"),
    pl.col("offset").max().alias("last_offset"),
)


def reduce_to_minutes(read: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.REDUCED from rows of columns.READ.

    Tickers: one row per symbol, partition and minute of event_time, with the newest ticker and the
    candle of that minute. `minute` is NULL if the event is too far ahead of its receipt for a candle.
    Dead letters: up to EXAMPLES rows per topic and cause, each with `updates` 0, and one row per span,
    which counts them. Unread fields: one row per cause, with an example.
    """
    parts = [_of_a_kind(read, kind) for kind in read["kind"].unique()]
    return pl.concat([NOTHING, *parts], how="diagonal")


def _of_a_kind(read: pl.DataFrame, kind: str) -> pl.DataFrame:
    is_kind = pl.col("kind") == kind
    rows = read.filter(is_kind)
    if kind == IS_TICKER:
        return _minutes(rows)
    if kind == IS_DEAD_LETTER:
        return reduce_letters(rows, read.filter(~is_kind))
    return _causes(rows)


def _minutes(tickers: pl.DataFrame) -> pl.DataFrame:
    """Group by partition, too: if a symbol is in two, their offsets must not be mixed."""
    minute = pl.when(pl.col("event_time") <= pl.col("received_at") + AHEAD_LIMIT).then(
        pl.col("event_time").dt.truncate("1m")
    )
    price, sequence = pl.col("price"), pl.col("sequence")
    # Only the columns that decide are sorted. The others are taken from the newest tickers alone.
    minutes = (
        tickers.select(
            *DECIDING,
            minute.alias("minute"),
            pl.int_range(pl.len()).alias("row"),
        )
        .sort(polars_age_order())
        .group_by(KEY)
        .agg(
            pl.col("row").last(),
            price.filter(sequence == sequence.min()).min().alias("open"),
            price.max().alias("high"),
            price.min().alias("low"),
            price.filter(sequence == sequence.max()).max().alias("close"),
            sequence.min().alias("open_sequence"),
            sequence.max().alias("close_sequence"),
            *COUNTS,
        )
    )
    newest = tickers[minutes["row"]].drop(KEY[:-1])
    return pl.concat([minutes.drop("row"), newest], how="horizontal")


def _causes(unread: pl.DataFrame) -> pl.DataFrame:
    return (
        unread.sort("offset", "position")
        .group_by(CAUSE)
        .agg(pl.all().exclude(CAUSE).first(), *COUNTS)
    )
