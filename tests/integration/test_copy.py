"""Copy rows into a table: amounts keep all digits, times their microseconds; NULL differs from ""."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
from psycopg2.extensions import connection

from spark_jobs.postgres.transaction import copy_into
from tests.support.postgres import rows

SCHEMA = {
    "number": pl.Int64(),
    "text": pl.String(),
    "amount": pl.Decimal(38, 18),
    "at": pl.Datetime("us", "UTC"),
}


def copied(owner: connection, name: str, values: list[object]) -> list[object]:
    """Return the values of one column after a copy in a session with another time zone."""
    frame = pl.DataFrame(
        {"number": range(len(values)), name: values}, {key: SCHEMA[key] for key in ("number", name)}
    )
    with owner.cursor() as statements:
        statements.execute("SET timezone = 'America/New_York'")
        statements.execute(
            "CREATE TEMPORARY TABLE copied"
            " (number bigint, text text, amount numeric(38, 18), at timestamptz)"
        )
        copy_into(statements, "copied", frame)
    return [value for (value,) in rows(owner, f"SELECT {name} FROM copied ORDER BY number")]


def test_texts_that_look_like_csv_null_or_an_end_stay_what_they_are(owner: connection) -> None:
    texts = ["", None, 'a "b"', "a,b", "a\nb", "a\r\nb", "\\.", "\\N", "NULL", " a ", "\t", "ä"]
    assert copied(owner, "text", [*texts]) == texts


def test_amounts_keep_their_digits(owner: connection) -> None:
    amounts = [
        Decimal("0.000000000000000001"),
        Decimal("99999999999999999999.999999999999999999"),
        Decimal("-1.5"),
        None,
    ]
    assert copied(owner, "amount", [*amounts]) == amounts


def test_times_keep_their_microseconds(owner: connection) -> None:
    times = [
        datetime(2000, 1, 1, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 30, 0, 1, tzinfo=UTC),
        datetime(2099, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        None,
    ]
    assert copied(owner, "at", [*times]) == times
