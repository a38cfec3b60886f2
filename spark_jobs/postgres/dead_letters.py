"""Store dead letters: messages and items of any topic that could not be read.

`dead_letter_spans` counts each dead letter once, with its offset. `dead_letters` keeps a few examples of
each cause, with their bytes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values

from spark_jobs.tickers.columns import IS_DEAD_LETTER, IS_DEAD_SPAN
from spark_jobs.tickers.letters.reducer import EXAMPLES
from spark_jobs.tickers.letters.spans import BLOCK, Span, joined
from spark_jobs.tickers.reading import cause_of

COLUMNS_OF_SPANS = ", ".join(Span._fields)

# The stored span that ends directly before a new one, with the same cause and in the same block.
SPANS_BEFORE = f"""
SELECT earlier.*
FROM (VALUES %s) AS new (topic, partition, cause, first_offset)
CROSS JOIN LATERAL (
    SELECT {COLUMNS_OF_SPANS} FROM dead_letter_spans AS stored
    WHERE stored.topic = new.topic AND stored.partition = new.partition AND stored.cause = new.cause
        AND stored.first_offset >= new.first_offset / {BLOCK} * {BLOCK}
        AND stored.first_offset < new.first_offset
    ORDER BY stored.first_offset DESC
    LIMIT 1
) AS earlier
WHERE earlier.last_offset = new.first_offset - 1
"""

# The given blocks that already have at least EXAMPLES dead letters of the cause.
FULL_BLOCKS = f"""
SELECT given.topic, given.partition, given.cause, given.first_offset
FROM (VALUES %s) AS given (topic, partition, cause, first_offset, last_offset)
JOIN dead_letter_spans AS stored
    ON stored.topic = given.topic AND stored.partition = given.partition AND stored.cause = given.cause
    AND stored.first_offset BETWEEN given.first_offset AND given.last_offset
GROUP BY 1, 2, 3, 4
HAVING sum(stored.letters) >= {EXAMPLES}
"""

UPSERT_SPANS = f"""
INSERT INTO dead_letter_spans ({COLUMNS_OF_SPANS}) VALUES %s
ON CONFLICT (topic, partition, first_offset, cause) DO UPDATE
SET (last_offset, letters, positions, written_at)
    = (EXCLUDED.last_offset, EXCLUDED.letters, EXCLUDED.positions, now())
"""


class DeadLetter(NamedTuple):
    """A row of the table dead_letters."""

    topic: str
    partition: int
    offset: int
    position: int
    reason: str
    payload: bytes
    received_at: datetime | None
    endpoint: str | None


INSERT_LETTERS = "INSERT INTO dead_letters ({}) VALUES %s ON CONFLICT DO NOTHING".format(
    ", ".join(f'"{name}"' for name in DeadLetter._fields)
)


def letters_in(rows: pa.Table) -> list[DeadLetter]:
    """Return the examples among rows of columns.REDUCED."""
    examples = rows.filter(pc.field("kind") == IS_DEAD_LETTER)
    return [DeadLetter(**row) for row in examples.select(list(DeadLetter._fields)).to_pylist()]


def spans_in(rows: pa.Table) -> list[Span]:
    """Return the spans among rows of columns.REDUCED."""
    spans = rows.filter(pc.field("kind") == IS_DEAD_SPAN)
    return [
        Span(
            row["topic"],
            row["partition"],
            row["reason"],
            row["first_offset"],
            row["last_offset"],
            row["updates"],
            row["payload"],
        )
        for row in spans.to_pylist()
    ]


def add_dead_letters(
    statements: cursor, letters: Sequence[DeadLetter], spans: Sequence[Span]
) -> None:
    """Store `spans`, and some of `letters` as examples.

    The spans must follow all stored spans of their partition. Of each topic and cause, store up to
    EXAMPLES letters: those with the lowest partition, offset and position. Store none from a block of
    offsets that already has EXAMPLES dead letters of the cause, so a frequent cause can't fill the table.
    """
    new = joined(spans)
    if not new:
        return
    examples = _outside_full_blocks(statements, examples_of(letters))
    before = _spans_before(statements, new)
    after = joined([*before, *new])
    upsert_spans(statements, [span for span in after if span not in before])
    insert_letters(statements, examples)


def examples_of(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """Return up to EXAMPLES letters per topic and cause: the lowest by partition, offset and position."""
    found: defaultdict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in sorted(letters, key=lambda letter: letter[:4]):
        found[letter.topic, cause_of(letter.reason)].append(letter)
    return [letter for of_cause in found.values() for letter in of_cause[:EXAMPLES]]


def upsert_spans(statements: cursor, spans: Sequence[Span]) -> None:
    """Insert spans. Replace a stored span of the same cause that begins at the same offset."""
    execute_values(statements, UPSERT_SPANS, spans)


def insert_letters(statements: cursor, letters: Sequence[DeadLetter]) -> None:
    """Insert the letters that are not stored yet."""
    execute_values(statements, INSERT_LETTERS, letters)


def forget_dead_letters(statements: cursor, topics: Sequence[str]) -> None:
    """Delete the dead letters of these topics.

    If a topic was created again, their offsets belong to other messages.
    """
    for table in ("dead_letters", "dead_letter_spans"):
        statements.execute(f"DELETE FROM {table} WHERE topic = ANY(%s)", (list(topics),))


def _outside_full_blocks(statements: cursor, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    blocks = {_block_of(letter) for letter in letters}
    with_ends = [(*block, block[-1] + BLOCK - 1) for block in blocks]
    full = {*execute_values(statements, FULL_BLOCKS, with_ends, fetch=True)}
    return [letter for letter in letters if _block_of(letter) not in full]


def _block_of(letter: DeadLetter) -> tuple[str, int, str, int]:
    """Return the letter's topic, partition and cause, and the first offset of its block."""
    start = letter.offset - letter.offset % BLOCK
    return letter.topic, letter.partition, cause_of(letter.reason), start


def _spans_before(statements: cursor, new: Sequence[Span]) -> list[Span]:
    """Return the stored spans that end directly before the first new span of their partition and cause."""
    first = {span[:3]: span[:4] for span in reversed(new)}
    found = execute_values(
        statements, SPANS_BEFORE, [*first.values()], page_size=len(first), fetch=True
    )
    return [as_span(row) for row in found]


def as_span(row: Sequence[Any]) -> Span:
    """Convert a row of COLUMNS_OF_SPANS to a span. psycopg2 returns bytes as a memoryview."""
    span = Span(*row)
    return span if span.positions is None else span._replace(positions=bytes(span.positions))
