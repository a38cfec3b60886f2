"""Rows of a batch that are not written yet, and the progress after them."""

import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from spark_jobs.kafka_source.offsets import Offsets, after_progress
from spark_jobs.postgres.kafka_progress import ProgressError, next_offsets, rows_after_progress
from tests.support.frames import table
from tests.support.spark_settings import spark_settings

COMPILED = {
    "spark.sql.codegen.wholeStage": "true",
    "spark.sql.codegen.factoryMode": "CODEGEN_ONLY",
}

PLACE = "topic STRING, partition INT, offset LONG"


def reduced(*rows: tuple[str, int, int, int]) -> pa.Table:
    """Return rows of topic, partition, first and last offset."""
    names = ("topic", "partition", "first_offset", "last_offset")
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows])


def test_what_lies_below_its_own_partitions_progress_is_left_out(spark: SparkSession) -> None:
    read = [("a", 0, 6), ("a", 0, 7), ("a", 1, 6), ("a", 2, 0), ("币", 0, 6)]

    actual = after_progress(table(spark, read, PLACE), {("a", 0): 7, ("a", 1): 6, ("b", 0): 9})

    expected = table(spark, [("a", 0, 7), ("a", 1, 6), ("a", 2, 0), ("币", 0, 6)], PLACE)
    assert_df_equality(actual, expected)


def test_other_offsets_make_no_other_code(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = table(spark, [("a", 0, 6)], PLACE)

    def code(progress: Offsets) -> str:
        after_progress(batch, progress).explain("codegen")
        return capsys.readouterr().out.partition("Generated code:")[2]

    with spark_settings(spark, COMPILED):
        assert code({("a", 0): 7, ("b", 1): 9}) == code({("a", 0): 8, ("b", 1): 12}) != ""


def test_rows_below_their_own_partitions_progress_are_left_out() -> None:
    rows = reduced(("a", 0, 5, 6), ("a", 0, 7, 9), ("a", 1, 6, 6), ("币", 0, 1, 6))
    left = rows_after_progress(rows, {("a", 0): 7, ("b", 1): 9})
    assert left["first_offset"].to_pylist() == [7, 6, 1]
    assert rows_after_progress(rows, {("a", 0): 10, ("a", 1): 7, ("币", 0): 7}).num_rows == 0


@pytest.mark.parametrize("progress", [8, 9])
def test_a_row_on_both_sides_of_the_progress_is_refused_with_its_place(progress: int) -> None:
    rows = reduced(("a", 0, 7, 9))
    expected = (
        f"next_offset {progress} for a/0, within a row that was reduced from the messages 7 to 9:"
    )
    with pytest.raises(ProgressError, match=expected):
        rows_after_progress(rows, {("a", 0): progress})


def test_the_next_offset_of_a_partition_follows_its_highest() -> None:
    rows = reduced(("b", 0, 1, 1), ("a", 1, 3, 9), ("a", 1, 5, 6), ("a", 0, 2, 2))
    assert list(next_offsets(rows).items()) == [(("a", 0), 3), (("a", 1), 10), (("b", 0), 2)]
