"""Read both tables of dead letters, and insert rows as versions with only one table wrote them."""

from collections.abc import Sequence
from typing import Any

from psycopg2.extensions import connection
from psycopg2.extras import execute_values

from infra import paths
from spark_jobs.postgres.dead_letters import COLUMNS_OF_SPANS, as_span
from spark_jobs.tickers.letters.spans import Span
from tests.support.postgres import execute, rows

MIGRATION = paths.MIGRATIONS / "0007.dead-letter-spans.sql"

INSERT = (
    'INSERT INTO dead_letters (topic, partition, "offset", position, reason, payload, endpoint)'
    " VALUES %s"
)


def insert_as_before(owner: connection, letters: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows with the columns of INSERT, and then migrate the database."""
    execute(owner, "DROP TABLE dead_letter_spans")
    with owner.cursor() as statements:
        execute_values(statements, INSERT, letters)
    execute(owner, MIGRATION.read_text())


def stored_spans(owner: connection) -> list[Span]:
    found = rows(owner, f"SELECT {COLUMNS_OF_SPANS} FROM dead_letter_spans ORDER BY 1, 2, 3, 4")
    return [as_span(row) for row in found]


def places_of_letters(owner: connection) -> list[tuple[Any, ...]]:
    return rows(
        owner, 'SELECT topic, partition, "offset", position FROM dead_letters ORDER BY 1, 2, 3, 4'
    )
