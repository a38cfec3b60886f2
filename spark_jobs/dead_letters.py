"""What can be no ticker, or no row of a small topic's table: where it is, why, and its own bytes."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
from psycopg2.extensions import cursor
from psycopg2.extras import execute_values


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


def letters_of(dead: pa.Table) -> list[DeadLetter]:
    """Return the rows of a table that has at least the columns of a dead letter."""
    return [DeadLetter(**row) for row in dead.select(list(DeadLetter._fields)).to_pylist()]


def insert_dead_letters(statements: cursor, letters: Sequence[DeadLetter]) -> None:
    columns = ", ".join(f'"{name}"' for name in DeadLetter._fields)
    execute_values(
        statements,
        f"INSERT INTO dead_letters ({columns}) VALUES %s ON CONFLICT DO NOTHING",
        letters,
    )
