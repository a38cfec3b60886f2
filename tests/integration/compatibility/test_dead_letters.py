"""Upgrade the dead letters of earlier versions, which wrote a row for each one: all are counted."""

from psycopg2.extensions import connection

from core.settings import Settings
from infra.services import postgres
from tests.support.postgres import rows

LETTERS = """
SELECT topic, partition, split_part(reason, ':', 1), min("offset"), max("offset"), count(*)
FROM dead_letters GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
COUNTED = """
SELECT topic, partition, cause, min(first_offset), max(last_offset), sum(letters)
FROM dead_letter_spans GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def test_all_dead_letters_are_counted(restored: Settings, kept: connection) -> None:
    letters = rows(kept, LETTERS)
    assert len(letters) >= 5
    postgres.initialise(restored)
    assert rows(kept, LETTERS) == letters
    assert rows(kept, COUNTED) == letters
