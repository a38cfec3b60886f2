"""Empties what the live job makes of the raw topics, so that it makes it anew from all that Kafka holds.

    python -m spark_jobs.rebuild

While the live job is stopped; it is refused otherwise. One transaction. After it the job begins with the
oldest record, and works as on any backlog. The ids of `batches` go on, so readers notice every change.
"""

from contextlib import closing

import psycopg2

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.entry import run
from spark_jobs.errors import JobError
from spark_jobs.postgres_sink import LOCK_LIMIT, lock_out_others
from spark_jobs.price_sink import PriceSink
from spark_jobs.sources import starting_offsets

EMPTY = """
TRUNCATE live_prices, candles_1m;
DELETE FROM dead_letters WHERE topic = ANY(%(topics)s);
DELETE FROM kafka_progress WHERE topic = ANY(%(topics)s)
"""


class ExpiredError(JobError):
    """Kafka can't give again what the tables hold."""


def refuse_expired(settings: Settings) -> None:
    """Raises ExpiredError where the beginning of a topic has."""
    oldest = starting_offsets(settings, EXCHANGE_OF_TOPIC, {})
    cut = [
        f"{topic}/{number} begins at offset {low}"
        for topic, partitions in oldest.items()
        for number, low in partitions.items()
        if low > 0
    ]
    if cut:
        raise ExpiredError(
            f"{', '.join(cut)}: candles of what has expired would be lost for good. "
            "Nothing was changed"
        )


def empty_tables(database_url: str) -> None:
    """Raises SecondLiveJobError beside a live job."""
    with closing(psycopg2.connect(database_url)) as database:
        with database, database.cursor() as statements:
            lock_out_others(statements, PriceSink.lock, LOCK_LIMIT)
            statements.execute(EMPTY, {"topics": list(EXCHANGE_OF_TOPIC)})


def main() -> None:
    settings = Settings.from_environment(JOBS)
    refuse_expired(settings)
    empty_tables(settings.database_url)


if __name__ == "__main__":
    run("rebuild", main)
