"""The tables of the live job from all tickers at once: what any split into batches must lead to.

`rows` has columns.REDUCED: one row or more per symbol, partition and minute. Other kinds are left
out.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.tickers.columns import CANDLE, IS_TICKER, TICKER
from spark_jobs.tickers.ticker_order import age_order


def fresh_live_prices(rows: DataFrame) -> DataFrame:
    """Columns of schemas.TICKER: the newest ticker of each symbol."""
    tickers = rows.where(F.col("kind") == IS_TICKER).groupBy("exchange", "symbol")
    newest = tickers.agg(F.max_by(F.struct(*TICKER), age_order()).alias("newest"))
    return newest.select("newest.*")


def fresh_candles(rows: DataFrame) -> DataFrame:
    """Columns of schemas.CANDLE: a row per symbol and minute, without the tickers that have no minute."""
    parts = rows.where((F.col("kind") == IS_TICKER) & F.col("minute").isNotNull())
    candles = parts.groupBy("exchange", "symbol", "minute").agg(
        F.min(F.struct("open_sequence", "open")).alias("first"),
        F.max(F.struct("close_sequence", "close")).alias("last"),
        F.max("high").alias("high"),
        F.min("low").alias("low"),
        F.sum("updates").alias("updates"),
    )
    return candles.select("*", "first.*", "last.*").select(*CANDLE)
