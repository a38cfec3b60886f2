"""Two versions of a table: rows that differ are described, equal ones are not."""

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from spark_jobs.check.differences import differences
from tests.support.frames import table

COLUMNS = "symbol STRING, minute INT, price INT, host STRING"


def test_what_differs_is_named_with_both_values_and_what_is_equal_is_not(
    spark: SparkSession,
) -> None:
    stored = [("币", 1, 1, None), ("A", 1, 2, "a"), ("B", 1, 3, None), ("B", 2, None, "")]
    fresh = [("币", 1, 1, None), ("A", 1, 3, None), ("B", 2, None, None), ("C", 1, 1, "c")]
    found = differences(
        table(spark, stored, COLUMNS),
        table(spark, fresh, COLUMNS),
        ["symbol", "minute"],
    )
    expected = table(
        spark,
        [
            (
                "A",
                1,
                "price: 2 in the table, 3 in the records; host: a in the table, NULL in the records",
            ),
            ("B", 1, "in the table, but not in the records"),
            ("B", 2, "host:  in the table, NULL in the records"),
            ("C", 1, "not in the table"),
        ],
        "symbol STRING, minute INT, difference STRING",
    )
    assert_df_equality(found.orderBy("symbol", "minute"), expected, ignore_nullable=True)
