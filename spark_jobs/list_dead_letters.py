"""List dead letters by topic and cause, each with its newest example.

python -m spark_jobs.list_dead_letters
"""

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

import psycopg2

from core.settings import JOBS, Settings
from spark_jobs.run.entry import run

SHOWN_BYTES = 200

# A reason is a cause, often followed by a colon and the value. Search for the newest example backwards
# from the last time of its cause: of millions of examples, most are never read.
BY_CAUSE = """
SELECT counted.*, example.*
FROM (
    SELECT topic, cause, sum(letters)::bigint, min(first_written_at), max(written_at) AS last_written_at
    FROM dead_letter_spans
    GROUP BY topic, cause
) AS counted
LEFT JOIN LATERAL (
    SELECT partition, "offset", position, reason, substr(payload, 1, %(shown)s)
    FROM dead_letters
    WHERE topic = counted.topic AND split_part(reason, ':', 1) = counted.cause
        AND written_at <= counted.last_written_at
    ORDER BY written_at DESC, "offset" DESC, position DESC
    LIMIT 1
) AS example ON true
ORDER BY topic, cause
"""


def lines(database_url: str) -> Iterable[str]:
    with closing(psycopg2.connect(database_url)) as database, database.cursor() as statements:
        statements.execute(BY_CAUSE, {"shown": SHOWN_BYTES})
        found = statements.fetchall()
    if not found:
        yield "no dead letters"
    for topic, cause, count, first, last, partition, offset, position, reason, payload in found:
        yield f"{topic}: {count} x {cause}, {_in_utc(first)} to {_in_utc(last)} UTC"
        if reason is None:
            continue
        yield f"  partition {partition}, offset {offset}, position {position}: {reason}"
        yield f"  {bytes(payload).decode(errors='replace')}"


def _in_utc(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def main() -> None:
    print("\n".join(lines(Settings.from_environment(JOBS).database_url)))


if __name__ == "__main__":
    run("list_dead_letters", main)
