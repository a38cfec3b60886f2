"""What a dead letter says: the item's own text, or the message's own bytes."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

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


def letters_of(dead: Sequence[Mapping[str, Any]], read_messages: ReadMessages) -> list[DeadLetter]:
    """Of tickers that have a `reason`. Only what their messages say is asked for."""
    if not dead:
        return []
    messages = read_messages({place_of(row) for row in dead})
    return [
        DeadLetter(
            *place_of(row),
            row["position"],
            row["reason"],
            payload(messages[place_of(row)], row["position"]),
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


def payload(message: bytes, position: int) -> bytes:
    """The text of the array's element at the position as it was written; the message where there is none."""
    if position == WHOLE_MESSAGE:
        return message
    try:
        return element_texts(message.decode())[position].encode()
    except (ValueError, IndexError):
        # Spark is more lenient than Python about what JSON is. The whole message holds the item.
        return message


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
