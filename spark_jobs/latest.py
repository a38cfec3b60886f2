"""A batch of tickers reduced to what Postgres needs: the newest per symbol, and each dead letter."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.newer import age_order
from spark_jobs.schemas import TICKER


def latest_tickers(tickers: DataFrame) -> DataFrame:
    """The newest ticker of each (exchange, symbol, partition), and every ticker that has a `reason`.

    A symbol keeps to one partition, but where it does not, offsets of two must not be mixed.

    Columns of schemas.TICKER, `reason`, and of the tickers that the row stands for: `first_offset`,
    `last_offset`, `tickers`. One pass: a dead letter is a group of its own.
    """
    is_dead = F.col("reason").isNotNull()
    own_place = F.when(is_dead, F.struct("topic", "partition", "offset", "position"))
    ticker = F.struct(*TICKER, "reason")
    groups = tickers.groupBy("exchange", "symbol", "partition", own_place.alias("own_place")).agg(
        F.max_by(ticker, age_order()).alias("newest"),
        F.min("offset").alias("first_offset"),
        F.max("offset").alias("last_offset"),
        F.count("*").alias("tickers"),
    )
    return groups.select("newest.*", "first_offset", "last_offset", "tickers")
