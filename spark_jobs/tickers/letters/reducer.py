"""Reduce dead letters to a few examples with their bytes, and to spans that count all of them.

However many dead letters there are, the rows that a batch sends to the driver are bounded: spans by the
number of its messages, examples by the number of causes.
"""

from collections.abc import Iterable

import polars as pl

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.tickers.columns import IS_DEAD_SPAN, REDUCED, polars_schema
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE
from spark_jobs.tickers.letters.spans import EVERY_ITEM, THE_MESSAGE, Span, joined, to_bits

EXAMPLES = 10
"""Maximum per topic and cause."""

MESSAGE = ("topic", "partition", "offset")
ORIGIN = (*MESSAGE, "position")

CAUSE = pl.col("reason").str.split(":").list.first().alias("cause")
"""The same as reading.cause_of."""

SCHEMA = polars_schema(REDUCED)


def reduce_letters(dead: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Return rows with some of columns.REDUCED: examples of dead letters, and the spans of all.

    `dead` has columns.READ and at least one row; `others` are the other rows of the same messages, with
    at least MESSAGE. The examples are up to EXAMPLES letters per topic and cause with the lowest places,
    so a batch has the same examples however it is divided into tasks.
    """
    examples = dead[_lowest(dead)].with_columns(
        pl.lit(0, pl.Int64).alias("updates"),
        pl.col("offset").alias("first_offset"),
        pl.col("offset").alias("last_offset"),
    )
    return pl.concat([examples, _rows(spans_of(dead, others))], how="diagonal")


def _lowest(dead: pl.DataFrame) -> list[int]:
    """Return the numbers of the rows with the lowest places. Do not sort the payloads."""
    places = dead.select(*ORIGIN, CAUSE).with_row_index("row")
    lowest = places.sort(ORIGIN).group_by("topic", "cause", maintain_order=True).head(EXAMPLES)
    return lowest["row"].to_list()


def spans_of(dead: pl.DataFrame, others: pl.DataFrame) -> list[Span]:
    """Return the spans of all dead letters; for `dead` and `others` see reduce_letters."""
    causes = (
        dead.select(*ORIGIN, CAUSE)
        .group_by(*MESSAGE, "cause")
        .agg(pl.col("position").sort().alias("positions"))
    )
    # `alone` are messages with nothing but dead letters of a single cause.
    one_cause = causes.group_by(MESSAGE).len().filter(pl.col("len") == 1)
    with_others = others.select(MESSAGE).join(one_cause, on=MESSAGE, how="semi").unique()
    alone = one_cause.join(with_others, on=MESSAGE, how="anti")
    marked = causes.join(
        alone.select(*MESSAGE, pl.lit(True).alias("is_alone")), on=MESSAGE, how="left"
    )
    return joined(
        Span(
            row["topic"],
            row["partition"],
            row["cause"],
            row["offset"],
            row["offset"],
            len(row["positions"]),
            _positions(row["positions"], is_alone=row["is_alone"] is not None),
        )
        for row in marked.iter_rows(named=True)
    )


def _positions(positions: list[int], *, is_alone: bool) -> bytes | None:
    if positions == [WHOLE_MESSAGE]:
        return THE_MESSAGE
    return EVERY_ITEM if is_alone else to_bits(positions)


def _rows(spans: Iterable[Span]) -> pl.DataFrame:
    rows = [
        {
            "exchange": EXCHANGE_OF_TOPIC[span.topic],
            "topic": span.topic,
            "partition": span.partition,
            "offset": span.first_offset,
            "kind": IS_DEAD_SPAN,
            "reason": span.cause,
            "payload": span.positions,
            "updates": span.letters,
            "first_offset": span.first_offset,
            "last_offset": span.last_offset,
        }
        for span in spans
    ]
    return pl.DataFrame(rows, {name: SCHEMA[name] for name in rows[0]})
