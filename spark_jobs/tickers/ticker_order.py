"""Which of two tickers of a symbol is the newer: one total order, in Spark, in SQL and in polars.

(minute of received_at, sequence, received_at), compared from left to right. Within a minute the
exchange's own numbering decides, so a frame that overtook another does no harm; across minutes the
later one wins, so an exchange that restarts its numbering freezes a price for a minute at most.
Where all three are equal, the place in Kafka decides, so that any batches return the same.
"""

import polars as pl
from pyspark.sql import Column
from pyspark.sql import functions as F

AGE = ("sequence", "received_at", "partition", "offset", "position")
"""What decides within a minute of received_at."""


def age_order() -> Column:
    """A struct that is greater for the newer ticker: for max_by."""
    return F.struct(F.date_trunc("minute", "received_at"), *AGE)


def sql_age_order(row: str) -> str:
    """The same as a SQL row value of `row`, a table's name or EXCLUDED."""
    columns = ", ".join(f'{row}."{name}"' for name in AGE)
    return f"(date_trunc('minute', {row}.received_at), {columns})"


def polars_age_order() -> list[pl.Expr]:
    """The same as expressions to sort by: the newest comes last."""
    return [pl.col("received_at").dt.truncate("1m"), *map(pl.col, AGE)]
