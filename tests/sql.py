"""What the tests ask of Postgres."""

from collections.abc import Iterable
from typing import Any

from psycopg2.extensions import connection


def rows(database: connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as statements:
        statements.execute(query, values or None)
        return statements.fetchall()


def contents(database: connection, tables: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables as text, sorted."""
    return {table: sorted(rows(database, f"SELECT t::text FROM {table} t")) for table in tables}
