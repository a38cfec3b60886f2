"""Compute the live job's tables from all tickers at once.

The job must get the same result, however it divides the tickers into batches.

`rows` has columns.REDUCED: at least one row per symbol, partition and minute. Rows of other kinds are
ignored.
"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.tickers.columns import CANDLE, IS_TICKER, TICKER
from spark_jobs.tickers.ticker_order import age_order


def fresh_live_prices(rows: DataFrame) -> DataFrame:
    """Return the newest ticker of each symbol, with columns.TICKER."""
    tickers = rows.where(F.col("kind") == IS_TICKER).groupBy("exchange", "symbol")
    newest = tickers.agg(F.max_by(F.struct(*TICKER), age_order()).alias("newest"))
    return newest.select("newest.*")


def fresh_candles(rows: DataFrame) -> DataFrame:
    """Return a row with columns.CANDLE per symbol and minute. Ignore tickers without a minute."""
    parts = rows.where((F.col("kind") == IS_TICKER) & F.col("minute").isNotNull())
    candles = parts.groupBy("exchange", "symbol", "minute").agg(
        F.min(F.struct("open_sequence", "open")).alias("first"),
        F.max(F.struct("close_sequence", "close")).alias("last"),
        F.max("high").alias("high"),
        F.min("low").alias("low"),
        F.sum("updates").alias("updates"),
    )
    return candles.select("*", "first.*", "last.*").select(*CANDLE)
