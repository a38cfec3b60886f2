"""Compare two versions of a table row by row."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def differences(stored: DataFrame, fresh: DataFrame, key: Sequence[str]) -> DataFrame:
    """Return key and `difference`, a text, of each row that differs; no rows if both are equal.

    `stored` has at least the columns of `fresh`, with the same types. Keys are unique, and none of their
    columns is NULL.
    """
    values = [name for name in fresh.columns if name not in key]
    left = stored.select(*key, F.struct(*values).alias("stored"))
    right = fresh.select(*key, F.struct(*values).alias("fresh"))
    difference = F.coalesce(
        F.when(F.col("stored").isNull(), "not in the table"),
        F.when(F.col("fresh").isNull(), "in the table, but not in the records"),
        F.concat_ws("; ", *(unequal(name) for name in values)),
    )
    compared = left.join(right, list(key), "full").select(*key, difference.alias("difference"))
    return compared.where("difference <> ''")


def unequal(name: str) -> Column:
    """Return a text like `price: 1.5 in the table, 2 in the records`.

    Return NULL if both values are equal, or both are NULL.
    """
    stored, fresh = F.col(f"stored.{name}"), F.col(f"fresh.{name}")
    text = F.concat(
        F.lit(f"{name}: "),
        shown(stored),
        F.lit(" in the table, "),
        shown(fresh),
        F.lit(" in the records"),
    )
    return F.when(~stored.eqNullSafe(fresh), text)


def shown(value: Column) -> Column:
    return F.coalesce(value.cast("string"), F.lit("NULL"))
