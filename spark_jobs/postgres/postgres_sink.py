"""Base class of the sinks that write to Postgres. A subclass defines `query` and writes the rows."""

from functools import partial

from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.postgres.transaction import Transactions
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Sink


class PostgresSink(Sink):
    """Sink that writes rows and progress in one transaction."""

    def __init__(self, postgres: Transactions) -> None:
        super().__init__()
        self.postgres = postgres

    def close(self) -> None:
        self.postgres.close()

    def progress(self) -> Offsets:
        return self.postgres.committed

    def report_to(self, metrics: JobMetrics) -> None:
        self.postgres.attempt_failed = partial(metrics.attempt_failed, self.query)
