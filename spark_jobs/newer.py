"""Which of two tickers of a symbol is the newer: one total order, once for Spark and once for SQL.

(minute of received_at, sequence, received_at), compared from left to right. Within a minute the
exchange's own numbering decides, so a frame that overtook another does no harm; across minutes the
later one wins, so an exchange that restarts its numbering freezes a price for a minute at most.
Where all three are equal, the place in Kafka decides, so that any batches give the same answer.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F


def age_order() -> Column:
    """A struct that is greater for the newer ticker: for max_by."""
    return F.struct(
        F.date_trunc("minute", "received_at"),
        "sequence",
        "received_at",
        "partition",
        "offset",
        "position",
    )


def sql_age_order(row: str) -> str:
    """The same as a SQL row value of `row`, a table's name or EXCLUDED."""
    return (
        f"(date_trunc('minute', {row}.received_at), {row}.sequence, {row}.received_at,"
        f' {row}.partition, {row}."offset", {row}.position)'
    )
