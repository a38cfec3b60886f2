"""What the server tells Prometheus of itself."""

import math
import time
from collections.abc import Callable
from datetime import datetime

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

AGES = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)

REFUSED = "(refused)"
"""The route of what was refused before a route was chosen."""


class Metrics:
    """One process. Labels: `kind` of a stream is ws or sse."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = self._counter("rest_requests", "HTTP requests answered", "route", "status")
        self._messages = self._counter("stream_messages", "Messages sent", "kind")
        self._bytes = self._counter("stream_bytes", "Bytes of messages sent", "kind")
        self._conflated = self._counter(
            "stream_conflated", "Batches that a slow client got within a later one", "kind"
        )
        self._closed = self._counter("stream_closed", "Streams that ended", "kind", "reason")
        self._clients = self._gauge("stream_clients", "Streams that are open", "kind")
        self._newest_price_age = self._gauge(
            "newest_price_age_seconds", "Since the extractor received it", "exchange"
        )
        self._price_age = Histogram(
            "price_age_seconds",
            "Of a message's newest price when it is sent, since the extractor received it",
            buckets=AGES,
            registry=self._registry,
        )

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(name, what, labels, registry=self._registry)

    def answered(self, route: str, status: int) -> None:
        self._requests.labels(route, status).inc()

    def stream_opened(self, kind: str) -> None:
        self._clients.labels(kind).inc()

    def stream_closed(self, kind: str, reason: str) -> None:
        self._clients.labels(kind).dec()
        self._closed.labels(kind, reason).inc()

    def stream_sent(self, kind: str, size: int, received_at: datetime | None, batches: int) -> None:
        """A message of so many bytes and batches; `received_at` is of its newest price, if any."""
        self._messages.labels(kind).inc()
        self._bytes.labels(kind).inc(size)
        self._conflated.labels(kind).inc(batches - 1)
        if received_at is not None:
            self._price_age.observe(time.time() - received_at.timestamp())

    def watch_database(self, away_since: Callable[[], datetime | None]) -> None:
        up = self._gauge("database_up", "1 while Postgres is read, 0 while it is away")
        up.set_function(lambda: away_since() is None)

    def watch_newest_price(self, exchange: str, age: Callable[[], float | None]) -> None:
        """`age` is in seconds; None, while there is no price, becomes NaN."""

        def value() -> float:
            seconds = age()
            return math.nan if seconds is None else seconds

        self._newest_price_age.labels(exchange).set_function(value)

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self._registry)


class CountRequests:
    """ASGI middleware: counts answers by their route and status. An error nobody caught is a 500."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        def count(status: int) -> None:
            # The router writes the route that it chose into the scope.
            route = scope.get("route")
            self._metrics.answered(route.path if route else REFUSED, status)

        async def counted(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:
            count(500)
            raise
