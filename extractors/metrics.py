"""What an extractor tells Prometheus of itself."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)


class Metrics:
    """One process, one exchange. Every name begins with `extractor_`."""

    def __init__(self, exchange: str) -> None:
        self._registry = CollectorRegistry()
        self._exchange = exchange
        self._last_frame: float | None = None

        self.frames = self._counter("frames", "Data frames received")
        self.bytes = self._counter("bytes", "Bytes of data frames received")
        self.items = self._counter("items", "Items received, one for each ticker")
        self.doubles = self._counter("doubles", "Items left out: another connection brought them")
        self.queue_full = self._counter("queue_full", "Times that reading waited for the queue")
        self.batches = self._counter("batches", "Batches handed to Kafka's producer")
        self.messages = self._counter("messages", "Messages that Kafka has confirmed")
        self.producer_failures = self._counter(
            "producer_failures", "Times that sending began again after what Kafka has"
        )
        self.delivery_errors = self._counter(
            "delivery_errors", "Messages that Kafka refused for themselves"
        )
        self.refused = self._counter("refused_items", "Items that the full journal refused")
        self.uploads = self._counter("uploads", "Objects put into landing/")
        self.upload_failures = self._counter("upload_failures", "Uploads that failed")
        self._connections = Counter(
            "extractor_connections",
            "Connections and attempts at one that ended, by cause",
            ["exchange", "cause"],
            registry=self._registry,
        )
        self.delivery_delay = Histogram(
            "extractor_delivery_delay_seconds",
            "From a message's handing over to Kafka's confirmation",
            ["exchange"],
            buckets=DELAYS,
            registry=self._registry,
        ).labels(exchange)
        self._gauge("last_frame_age_seconds", "Since the last data frame", self._last_frame_age)

    def _counter(self, name: str, what: str) -> Counter:
        counter = Counter(f"extractor_{name}", what, ["exchange"], registry=self._registry)
        return counter.labels(self._exchange)

    def _gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        gauge = Gauge(f"extractor_{name}", what, ["exchange"], registry=self._registry)
        gauge.labels(self._exchange).set_function(value)

    def _last_frame_age(self) -> float:
        """NaN while there was none: Prometheus's word for no value."""
        return float("nan") if self._last_frame is None else time.monotonic() - self._last_frame

    def received(self, frames: int, size: int, items: int, doubles: int) -> None:
        """Count data frames: the bytes and the items in them, and how many of these are doubles."""
        self._last_frame = time.monotonic()
        self.frames.inc(frames)
        self.bytes.inc(size)
        self.items.inc(items)
        self.doubles.inc(doubles)

    def connection_ended(self, cause: str) -> None:
        self._connections.labels(self._exchange, cause).inc()

    def watch_queue(self, size: Callable[[], int]) -> None:
        self._gauge("queued_notices", "Frames and other notices that wait for the journal", size)

    def watch_journal(self, size: Callable[[], int], dropped: Callable[[], int]) -> None:
        self._gauge("journal_bytes", "Bytes on the disk that a follower has not taken", size)
        self._gauge(
            "dropped_items", "Items that landing/ lacks: the journal had no room for them", dropped
        )

    def watch_follower(
        self, name: str, lag: Callable[[], int], oldest: Callable[[], int | None]
    ) -> None:
        """`oldest` is when its oldest item came, microseconds since the epoch."""

        def age() -> float:
            received_at = oldest()
            return 0.0 if received_at is None else max(0.0, time.time() - received_at / 1e6)

        self._gauge(f"{name}_lag_items", f"Items of the journal that {name} does not have", lag)
        self._gauge(f"{name}_lag_seconds", f"Age of the oldest item that {name} does not have", age)

    def totals(self) -> str:
        """For the log: counts since the start, as key=value."""
        names = ("frames", "items", "doubles", "refused_items", "messages", "delivery_errors")
        labels = {"exchange": self._exchange}
        values = (self._registry.get_sample_value(f"extractor_{n}_total", labels) for n in names)
        return " ".join(f"{n}={v or 0:.0f}" for n, v in zip(names, values, strict=True))

    def serve(self, host: str, port: int) -> None:
        """At http://host:port/metrics, from a thread of its own. Raises OSError for a busy port."""
        start_http_server(port, host, self._registry)
