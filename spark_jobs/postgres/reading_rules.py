"""Record which rules the rows of each exchange were computed with: see core/reading_rules.py."""

from collections.abc import Mapping
from datetime import datetime

from psycopg2.extensions import cursor

from core.reading_rules import READING_RULES

# If the stored rules are the present ones, earlier_until never moves forward: a second rebuild keeps it for
# rows that neither of them could recompute.
RECORD = """
INSERT INTO reading_rules (exchange, rules) VALUES (%(exchange)s, %(rules)s)
ON CONFLICT (exchange) DO UPDATE SET rules = EXCLUDED.rules, earlier_until = CASE
    WHEN reading_rules.rules < EXCLUDED.rules THEN %(unchanged_until)s::timestamptz
    WHEN reading_rules.earlier_until > %(unchanged_until)s::timestamptz THEN %(unchanged_until)s::timestamptz
    WHEN %(unchanged_until)s::timestamptz IS NOT NULL THEN reading_rules.earlier_until
END
"""


def record_rebuild(statements: cursor, unchanged_until: Mapping[str, datetime | None]) -> None:
    """Record that the rows of these exchanges are of the present rules.

    An exchange's rows up to the time in `unchanged_until`, if any, keep the rules that they had.
    """
    for exchange, until in unchanged_until.items():
        statements.execute(
            RECORD, {"exchange": exchange, "rules": READING_RULES, "unchanged_until": until}
        )
