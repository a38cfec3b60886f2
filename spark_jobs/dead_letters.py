"""What a dead letter says: the item's own text, or the message's own bytes."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values

from spark_jobs.items import WHOLE_MESSAGE
from spark_jobs.sources import Place

# What the messages at these places hold.
ReadMessages = Callable[[Iterable[Place]], Mapping[Place, bytes]]

BETWEEN_ELEMENTS = re.compile(r"[ \t\r\n,]*")


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


def letters_of(tickers: pa.Table, read_messages: ReadMessages) -> list[DeadLetter]:
    """Of tickers that have a `reason`. Only what their messages say is asked for."""
    if not tickers.num_rows:
        return []
    # A message may hold half a million, and most columns are of no use here.
    dead = tickers.select([name for name in DeadLetter._fields if name != "payload"]).to_pylist()
    messages = read_messages({place_of(row) for row in dead})
    # Each message once: all of its items may be dead.
    in_arrays = {place_of(row) for row in dead if row["position"] != WHOLE_MESSAGE}
    elements = {place: elements_of(messages[place]) for place in in_arrays}
    return [
        DeadLetter(
            *place_of(row),
            row["position"],
            row["reason"],
            payload(messages[place_of(row)], elements.get(place_of(row), []), row["position"]),
            row["received_at"],
            row["endpoint"],
        )
        for row in dead
    ]


def place_of(row: Mapping[str, Any]) -> Place:
    return row["topic"], row["partition"], row["offset"]


def insert_dead_letters(statements: cursor, letters: Sequence[DeadLetter]) -> None:
    columns = ", ".join(f'"{name}"' for name in DeadLetter._fields)
    execute_values(
        statements,
        f"INSERT INTO dead_letters ({columns}) VALUES %s ON CONFLICT DO NOTHING",
        letters,
    )


def payload(message: bytes, elements: Sequence[str], position: int) -> bytes:
    """The text of the element at the position; the message, which holds it, where there is none."""
    is_known = 0 <= position < len(elements)
    return elements[position].encode() if is_known else message


def elements_of(message: bytes) -> list[str]:
    """The texts of the array's elements, as they were written; none where Python can't read it.

    Spark is more lenient about what JSON is, and reads what is nested more deeply.
    """
    try:
        return element_texts(message.decode())
    except (ValueError, RecursionError):
        return []


def element_texts(array: str) -> list[str]:
    """`['{"c": 1.10}', 'null']` for `[ {"c": 1.10}, null ]`. Raises ValueError for what is no JSON array."""
    elements = json.loads(array)
    decode = json.JSONDecoder().raw_decode
    texts = []
    end = array.index("[") + 1
    for _ in elements:
        between = BETWEEN_ELEMENTS.match(array, end)
        start = between.end() if between else end
        _value, end = decode(array, start)
        texts.append(array[start:end])
    return texts
