"""Verdict of the audit on a table or a prefix: rows that differ, or that can't be compared."""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.check.differences import differences

SHOWN = 20


class Verdict(NamedTuple):
    """`examples` shows some of the rows that differ, `expired` some that can't be compared."""

    table: str
    rows: int
    differ: int
    examples: list[str]
    not_compared: int
    expired: list[str]
    unit: str = "rows"


def verdict(
    table: str, key: Sequence[str], stored: DataFrame, fresh: DataFrame, expired: DataFrame
) -> Verdict:
    """Return the verdict on the stored rows of a table. Rows in `expired` can't be compared."""
    found = differences(stored, fresh, key).persist()
    try:
        differ, not_compared, rows = counts(found, expired, stored)
        return Verdict(
            table,
            rows,
            differ,
            lines(found, (*key, "difference"), differ),
            not_compared,
            lines(expired, key, not_compared),
        )
    finally:
        found.unpersist()


def counts(*tables: DataFrame) -> list[int]:
    """Return the number of rows of each table, by one query."""
    numbered = [table.select(F.lit(number).alias("n")) for number, table in enumerate(tables)]
    numbers = range(len(tables))
    [row] = (
        reduce(DataFrame.unionAll, numbered)
        .agg(*(F.count_if(F.col("n") == number) for number in numbers))
        .collect()
    )
    return [row[number] for number in numbers]


def lines(rows: DataFrame, columns: Iterable[str], count: int) -> list[str]:
    """Return up to SHOWN rows as text. `count` is their number: usually 0, which needs no query."""
    if not count:
        return []
    text = rows.select(F.concat_ws(" ", *columns).alias("text"))
    return [row["text"] for row in text.orderBy("text").limit(SHOWN).collect()]


def report(verdicts: Iterable[Verdict]) -> Iterable[str]:
    for table, rows, differ, examples, not_compared, expired, unit in verdicts:
        yield f"{table}: {rows} {unit}, {differ} differ"
        yield from _some("", examples, differ)
        if not_compared:
            yield f"  {not_compared} can't be compared: expiring soon, or not all of their records were read"
            yield from _some("  ", expired, not_compared)


def _some(indent: str, shown: list[str], count: int) -> Iterable[str]:
    yield from (f"{indent}  {line}" for line in shown)
    if count > len(shown):
        yield f"{indent}  and {count - len(shown)} more"
