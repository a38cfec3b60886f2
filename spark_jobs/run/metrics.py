"""Prometheus metrics of a job."""

import itertools
from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import new_registry
from core.metrics_server import serve_metrics
from exchanges import EXCHANGE
from spark_jobs.errors import JobError
from spark_jobs.run.lag import Lag
from spark_jobs.tickers.reading import Reading, Share

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 5, 10, 30, 60, 120)


class JobMetrics:
    """Metrics of one process. Every name defined here begins with `job_`."""

    def __init__(self) -> None:
        self.registry = registry = new_registry("job")
        self._messages = Counter(
            "job_messages", "Kafka messages read", ["query"], registry=registry
        )
        self._items = Counter(
            "job_items",
            "Items by outcome: written, superseded by a newer one of the batch, outdated by an earlier"
            " batch, or dead (unreadable). Items without a price have no outcome",
            ["query", "outcome"],
            registry=registry,
        )
        self._failed_attempts = Counter(
            "job_failed_attempts",
            "Attempts to write a batch to Postgres that failed; each is repeated for up to a minute",
            ["query"],
            registry=registry,
        )
        self._without_candle = Counter(
            "job_without_candle",
            "Tickers that count in no candle, because their time is too old or ahead of the clock",
            ["query"],
            registry=registry,
        )
        self._rows = Counter(
            "job_rows",
            "Deprecated: use job_items, whose outcomes do not overlap",
            ["query", "outcome"],
            registry=registry,
        )
        self._phases = Histogram(
            "job_batch_seconds",
            "Duration of a batch by Spark's phases; triggerExecution is the total",
            ["query", "phase"],
            buckets=SECONDS,
            registry=registry,
        )
        self._lag_messages = Gauge(
            "job_lag_messages", "Messages in Kafka not read yet", ["query"], registry=registry
        )
        self._lag_seconds = Gauge(
            "job_lag_seconds",
            "Seconds since the oldest unread message was first seen",
            ["query"],
            registry=registry,
        )
        self._lag_limit = Gauge(
            "job_lag_limit_seconds",
            "Lag that the query does not exceed without a fault",
            ["query"],
            registry=registry,
        )
        self._last_batch = Gauge(
            "job_last_batch_timestamp_seconds",
            "Time of the last finished batch; the lag is as of then",
            ["query"],
            registry=registry,
        )
        self._newest = Gauge(
            "job_newest_price_timestamp_seconds",
            "Receipt time of the newest price that was read",
            ["exchange"],
            registry=registry,
        )
        self._unreadable = Gauge(
            "job_unreadable_share",
            "Share of an exchange's items in the last minute that could not be read, from 0 to 1",
            ["exchange"],
            registry=registry,
        )
        self._faults = Counter(
            "job_unreadable",
            "Items that became dead letters, and fields without a value, by cause",
            ["exchange", "kind", "cause"],
            registry=registry,
        )
        self._prefix_bytes = Gauge(
            "job_prefix_bytes",
            "Size of the objects below a prefix of the bucket, updated every five minutes",
            ["prefix"],
            registry=registry,
        )
        self._prefix_objects = Gauge(
            "job_prefix_objects",
            "Number of objects below the prefix",
            ["prefix"],
            registry=registry,
        )

    def expect(self, query: str, lag_limit: float) -> None:
        """Export a query's limit of the lag, in seconds, and its counters of errors as 0.

        Prometheus then sees the first error.
        """
        self._lag_limit.labels(query).set(lag_limit)
        self._failed_attempts.labels(query)
        self._items.labels(query, "dead")

    def expect_causes(self, causes: Iterable[str]) -> None:
        """Export the counters of dead letters with these causes as 0, for every exchange."""
        for exchange, cause in itertools.product(EXCHANGE, causes):
            self._faults.labels(exchange, "dead_letter", cause)

    def attempt_failed(self, query: str) -> None:
        self._failed_attempts.labels(query).inc()

    def batch(
        self,
        query: str,
        messages: int,
        counts: Mapping[str, int],
        phases: Mapping[str, float],
        lag: Lag,
    ) -> None:
        """Record a batch; `phases` are in seconds."""
        self._messages.labels(query).inc(messages)
        for outcome, count in outcomes(counts).items():
            self._items.labels(query, outcome).inc(count)
        self._without_candle.labels(query).inc(counts.get("without_candle", 0))
        for outcome, count in counts.items():
            self._rows.labels(query, outcome).inc(count)
        for phase, seconds in phases.items():
            self._phases.labels(query, phase).observe(seconds)
        self._lag_messages.labels(query).set(lag.messages)
        self._lag_seconds.labels(query).set(lag.seconds)
        self._last_batch.labels(query).set_to_current_time()

    def prices(self, newest: Mapping[str, datetime]) -> None:
        """Set when each exchange's newest price was received. Its age is time() minus this."""
        for exchange, received_at in newest.items():
            self._newest.labels(exchange).set(received_at.timestamp())

    def unreadable(self, shares: Mapping[str, Share]) -> None:
        for exchange, share in shares.items():
            self._unreadable.labels(exchange).set(share.unreadable)

    def faults(self, reading: Reading) -> None:
        """Count the items and fields of a batch that could not be read."""
        for exchange, of_exchange in reading.items():
            for cause, count in of_exchange["dead_letters"].items():
                self._faults.labels(exchange, "dead_letter", cause).inc(count)
            for cause, seen in of_exchange["unread"].items():
                self._faults.labels(exchange, "unread", cause).inc(seen["count"])

    def prefix(self, name: str, size: int, objects: int) -> None:
        """Set the size of a prefix of the bucket, in bytes."""
        self._prefix_bytes.labels(name).set(size)
        self._prefix_objects.labels(name).set(objects)

    def serve(self, host: str, port: int) -> None:
        """Serve http://host:port/metrics in a separate thread. Raise JobError if the port is taken."""
        try:
            serve_metrics(host, port, self.registry)
        except OSError as error:
            raise JobError(f"metrics can't be served on {host}:{port}: {error.strerror}") from error


def outcomes(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the number of items of a batch by outcome. Each item with a price has one.

    `counts` has the number of dead letters (`dead`), and that of tickers (`ticks`) or rows (`rows`), which
    includes them. The counts of prices also have `written` and `refused`.
    """
    dead = counts.get("dead", 0)
    readable = counts.get("ticks", counts.get("rows", 0)) - dead
    if "written" not in counts:
        return {"written": readable, "dead": dead}
    written, outdated = counts["written"], counts.get("refused", 0)
    superseded = readable - written - outdated
    return {"written": written, "superseded": superseded, "outdated": outdated, "dead": dead}
