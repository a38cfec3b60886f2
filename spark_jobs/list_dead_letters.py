"""What could not be read, by topic and cause, with the newest of each.

python -m spark_jobs.list_dead_letters
"""

from collections.abc import Iterable
from contextlib import closing

import psycopg2

from core.settings import JOBS, Settings
from spark_jobs.entry import run

SHOWN_BYTES = 200

# A reason is a cause, and often the value behind a colon.
BY_CAUSE = """
SELECT DISTINCT ON (topic, cause)
    topic, cause, count(*) OVER of_cause, min(written_at) OVER of_cause, written_at,
    partition, "offset", position, reason, substr(payload, 1, %(shown)s)
FROM dead_letters, split_part(reason, ':', 1) AS cause
WINDOW of_cause AS (PARTITION BY topic, cause)
ORDER BY topic, cause, written_at DESC, "offset" DESC, position DESC
"""


def lines(database_url: str) -> Iterable[str]:
    with closing(psycopg2.connect(database_url)) as database, database.cursor() as statements:
        statements.execute(BY_CAUSE, {"shown": SHOWN_BYTES})
        found = statements.fetchall()
    if not found:
        yield "no dead letters"
    for topic, cause, count, first, last, partition, offset, position, reason, payload in found:
        yield f"{topic}: {count} x {cause}, {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S}"
        yield f"  partition {partition}, offset {offset}, position {position}: {reason}"
        yield f"  {bytes(payload).decode(errors='replace')}"


def main() -> None:
    print("\n".join(lines(Settings.from_environment(JOBS).database_url)))


if __name__ == "__main__":
    run("list_dead_letters", main)
