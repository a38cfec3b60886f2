"""Read dead letters again, from their messages or from their stored bytes.

Each item counts once: spans say which items were dead letters; all other items of these messages are
skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import polars as pl

from spark_jobs.tickers.columns import (
    IS_DEAD_LETTER,
    MESSAGE,
    READ,
    REDUCED,
    polars_schema,
)
from spark_jobs.tickers.element_reader import AFTER_ARRAY, WHOLE_MESSAGE, read_elements
from spark_jobs.tickers.letters.reducer import reduce_letters, spans_of
from spark_jobs.tickers.letters.spans import THE_MESSAGE, Span, from_bits, joined
from spark_jobs.tickers.reducer import reduce_to_minutes

NO_ROWS = pl.DataFrame(schema=polars_schema(REDUCED))
PLACES = {"offset": pl.Int64(), "position": pl.Int32()}


class Stored(NamedTuple):
    """The columns of a row of dead_letters that are needed to read it again."""

    topic: str
    partition: int
    offset: int
    position: int
    reason: str
    payload: bytes
    endpoint: str | None
    written_at: datetime


@dataclass
class Now:
    """Result of reading the dead letters of spans again.

    `rows` has columns.REDUCED: the items that can be read, and new dead letters, which are items of
    messages that were a single dead letter before. `new` is the number of these. `dead` has the reason
    of each dead letter by its offset and position. `unchanged` are offsets of messages of which only some
    items were dead letters, and which are now unreadable as a whole.
    """

    rows: pl.DataFrame = field(default_factory=lambda: NO_ROWS)
    spans: list[Span] = field(default_factory=list)
    dead: dict[tuple[int, int], str] = field(default_factory=dict)
    unchanged: set[int] = field(default_factory=set)
    new: int = 0

    def add(self, other: "Now") -> None:
        """Add the result of other messages."""
        self.rows = pl.concat([self.rows, other.rows])
        self.spans = joined([*self.spans, *other.spans])
        self.dead |= other.dead
        self.unchanged |= other.unchanged
        self.new += other.new

    @property
    def still_dead(self) -> int:
        """The number of letters that were read again and are still dead letters."""
        return sum(span.letters for span in self.spans) - self.new


def reread_letters(was: Sequence[Span], read: pl.DataFrame) -> Now:
    """Return what the letters of `was` have become, for the messages in `read`.

    All spans are of one topic and partition. `read` has columns.READ: all rows of each message.
    """
    offsets = set(read["offset"])
    places, whole = _places(was, offsets)
    marked = read.join(
        places.with_columns(pl.lit(True).alias("is_named")), on=["offset", "position"], how="left"
    )
    in_whole = pl.col("offset").is_in(pl.Series([*whole], dtype=pl.Int64).implode())
    was_dead = pl.col("is_named").is_not_null() | in_whole
    is_dead = pl.col("kind") == IS_DEAD_LETTER
    dead = marked.filter(was_dead & is_dead).select(*READ)

    # Messages of which some items were dead letters, and which are now unreadable as a whole: keep their
    # spans.
    lost = marked.filter(~was_dead & is_dead & (pl.col("position") == WHOLE_MESSAGE))
    unchanged = set(lost["offset"])
    # Messages of which only some items were dead letters count as having other rows, so that none of their
    # spans gets EVERY_ITEM.
    others = pl.concat(
        [marked.filter(~is_dead).select("topic", "partition", "offset"), _messages(was, places)]
    )
    is_new = pl.col("offset").is_in(
        pl.Series(_message_letters(was, offsets), dtype=pl.Int64).implode()
    ) & (pl.col("position") != WHOLE_MESSAGE)
    new = dead.filter(is_new)
    rows = [NO_ROWS, reduce_to_minutes(marked.filter(was_dead & ~is_dead).select(*READ))]
    if len(new):
        rows.append(reduce_letters(new, others))
    return Now(
        pl.concat(rows, how="diagonal").select(*REDUCED),
        joined([*_of_messages(was, unchanged), *(spans_of(dead, others) if len(dead) else [])]),
        {
            (offset, position): reason
            for offset, position, reason in dead.select("offset", "position", "reason").iter_rows()
        },
        unchanged,
        len(new),
    )


def _places(was: Iterable[Span], offsets: set[int]) -> tuple[pl.DataFrame, set[int]]:
    """Return the places of single dead letters, and the offsets of messages that were all dead."""
    places: list[tuple[int, int]] = []
    whole: set[int] = set()
    for span in was:
        of_span = [offset for offset in span.offsets if offset in offsets]
        if span.is_by_position:
            positions = from_bits(span.positions or b"")
            places += [(offset, position) for offset in of_span for position in positions]
        else:
            whole.update(of_span)
    return pl.DataFrame(places, PLACES, orient="row"), whole


def _messages(was: Sequence[Span], places: pl.DataFrame) -> pl.DataFrame:
    topic, partition = was[0].topic, was[0].partition
    return places.select(
        pl.lit(topic).alias("topic"),
        pl.lit(partition, pl.Int32).alias("partition"),
        pl.col("offset"),
    ).unique()


def _message_letters(was: Iterable[Span], offsets: set[int]) -> list[int]:
    return [
        offset
        for span in was
        if span.positions == THE_MESSAGE
        for offset in span.offsets
        if offset in offsets
    ]


def _of_messages(was: Iterable[Span], offsets: set[int]) -> list[Span]:
    """Return the parts of spans by position that cover the messages at `offsets`, a span per message."""
    return [
        span._replace(first_offset=offset, last_offset=offset, letters=span.letters_per_message)
        for span in was
        if span.is_by_position
        for offset in span.offsets
        if offset in offsets
    ]


def read_again(stored: Sequence[Stored]) -> pl.DataFrame:
    """Return rows of columns.READ from stored letters, each item at its original place.

    An item that can't be read keeps its reason: without its message, another reason may be found.
    """
    return pl.concat([pl.DataFrame(schema=polars_schema(READ)), *map(_read_again, stored)])


def _read_again(stored: Stored) -> pl.DataFrame:
    """Read each item as an array of one, so that an invalid one does not affect the others."""
    is_item = stored.position != WHOLE_MESSAGE
    if not is_item:
        value = stored.payload
    elif stored.reason == AFTER_ARRAY:
        # Text after an array is no item, even if it looks like one.
        value = b"[]" + stored.payload
    else:
        value = b"[" + stored.payload + b"]"
    message: Mapping[str, object] = {
        "value": value,
        # The time at which the row was written replaces Kafka's timestamp.
        "timestamp": stored.written_at,
        **{name: getattr(stored, name) for name in ("endpoint", "topic", "partition", "offset")},
    }
    rows = read_elements(pl.DataFrame([message], polars_schema(MESSAGE)))
    if not is_item:
        return rows
    position = pl.lit(stored.position, pl.Int32).alias("position")
    dead = rows.filter(pl.col("kind") == IS_DEAD_LETTER)
    if len(dead):
        return dead[:1].with_columns(position, pl.lit(stored.reason).alias("reason"))
    return rows.with_columns(position)
