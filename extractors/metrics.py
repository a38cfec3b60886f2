"""Export an extractor's metrics to Prometheus."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import new_registry
from core.metrics_server import serve_metrics

DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    """Metrics of one process and one exchange. Every name defined here begins with `extractor_`."""

    def __init__(self, exchange: str) -> None:
        self._registry = new_registry("extractor")
        self._exchange = exchange
        self._last_frame: float | None = None

        self.frames = self._counter("frames", "Data frames received")
        self.bytes = self._counter("bytes", "Bytes of data frames received")
        self.items = self._counter("items", "Items received, one per ticker")
        self.doubles = self._counter("doubles", "Items discarded as duplicates")
        self.queue_full = self._counter("queue_full", "Times that a full queue paused reading")
        self.batches = self._counter("batches", "Batches passed to Kafka's producer")
        self.messages = self._counter("messages", "Messages that Kafka has confirmed")
        self.producer_failures = self._counter(
            "producer_failures", "Producers that failed and were replaced"
        )
        self.delivery_errors = self._counter(
            "delivery_errors", "Messages that Kafka refused as too large or invalid"
        )
        self.refused = self._counter("refused_items", "Items lost because the journal refused them")
        self.uploads = self._counter("uploads", "Objects put into landing/")
        self.upload_failures = self._counter("upload_failures", "Uploads that failed")
        self._interruptions = self._counter(
            "interruptions", "Interruptions that ended; the start of the process is one"
        )
        self._interrupted = self._counter(
            "interrupted_seconds", "Length of the interruptions that ended"
        )
        self._connections = Counter(
            "extractor_connections",
            "Connections and attempts to connect that ended, by cause",
            ["exchange", "cause"],
            registry=self._registry,
        )
        self.delivery_delay = Histogram(
            "extractor_delivery_delay_seconds",
            "Time from passing a message to the producer to Kafka's confirmation",
            ["exchange"],
            buckets=DELAYS,
            registry=self._registry,
        ).labels(exchange)
        self._gauge("last_frame_age_seconds", "Age of the last data frame", self._last_frame_age)

    def _counter(self, name: str, what: str) -> Counter:
        counter = Counter(f"extractor_{name}", what, ["exchange"], registry=self._registry)
        return counter.labels(self._exchange)

    def _gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        gauge = Gauge(f"extractor_{name}", what, ["exchange"], registry=self._registry)
        gauge.labels(self._exchange).set_function(value)

    def _last_frame_age(self) -> float:
        """Return the seconds since the last data frame; NaN before the first one."""
        return float("nan") if self._last_frame is None else time.monotonic() - self._last_frame

    def received(self, frames: int, size: int, items: int, doubles: int) -> None:
        """Count data frames, their bytes and items, and how many of the items are duplicates."""
        self._last_frame = time.monotonic()
        self.frames.inc(frames)
        self.bytes.inc(size)
        self.items.inc(items)
        self.doubles.inc(doubles)

    def connection_ended(self, cause: str) -> None:
        self._connections.labels(self._exchange, cause).inc()

    def interruption_ended(self, seconds: float) -> None:
        self._interruptions.inc()
        self._interrupted.inc(seconds)

    def watch_queue(self, size: Callable[[], int]) -> None:
        self._gauge("queued_notices", "Frames and other notices waiting for the journal", size)

    def watch_journal(
        self, folder: Path, limit: int, size: Callable[[], int], dropped: Callable[[], int]
    ) -> None:
        self._gauge("journal_bytes", "Bytes on disk that Kafka or landing/ still lacks", size)
        self._gauge("journal_limit_bytes", "Maximum size of the journal", lambda: limit)
        self._gauge("dropped_items", "Items dropped before upload, for lack of space", dropped)
        self._gauge(
            "disk_free_bytes",
            "Space that is left for the journal on its disk",
            lambda: shutil.disk_usage(folder).free,
        )

    def watch_follower(
        self, name: str, lag: Callable[[], int], oldest: Callable[[], int | None]
    ) -> None:
        """Export a follower's lag.

        `oldest` returns when the oldest item that it lacks was received, in microseconds since the epoch;
        that of landing looks at closed segments only.
        """

        def age() -> float:
            received_at = oldest()
            return 0.0 if received_at is None else max(0.0, time.time() - received_at / 1e6)

        self._gauge(f"{name}_lag_items", f"Items of the journal that {name} does not have", lag)
        about = f"Age of the oldest item that {name} does not have; for landing, in closed segments"
        self._gauge(f"{name}_lag_seconds", about, age)

    def watch_backfill(self, done: Callable[[], int], pairs: Callable[[], int]) -> None:
        """Export the progress of the hole that is being filled, or was filled last."""
        self._gauge("backfill_pairs", "Pairs whose candles are requested for a hole", pairs)
        self._gauge("backfill_done_pairs", "Those pairs whose candles Kafka has", done)

    def totals(self) -> str:
        """Return the counts since the start as key=value, for the log."""
        names = ("frames", "items", "doubles", "refused_items", "messages", "delivery_errors")
        labels = {"exchange": self._exchange}
        values = (self._registry.get_sample_value(f"extractor_{n}_total", labels) for n in names)
        return " ".join(f"{n}={v or 0:.0f}" for n, v in zip(names, values, strict=True))

    def serve(self, host: str, port: int) -> None:
        """Serve http://host:port/metrics in a separate thread. Raise OSError if the port is in use."""
        serve_metrics(host, port, self._registry)
