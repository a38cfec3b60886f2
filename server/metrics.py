"""What the server tells Prometheus of itself."""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.state.price_table import Reading
from server.streams.client import Traffic

AGES = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)

REFUSED = "(refused)"
"""The route of what was refused before a route was chosen."""


class StreamCollector(Collector):
    """Reads what the streams count anyway, when it is asked: a message costs nothing more.

    `traffic` is by kind: ws or sse.
    """

    def __init__(self, traffic: Mapping[str, Traffic]) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        clients = GaugeMetricFamily("stream_clients", "Streams that are open", labels=["kind"])
        messages = _counted("stream_messages", "Messages sent", "kind")
        sizes = _counted("stream_bytes", "Bytes of messages sent", "kind")
        conflated = _counted(
            "stream_conflated", "Changes that a slow client got within later ones", "kind"
        )
        closed = _counted("stream_closed", "Streams that the server ended", "kind", "reason")
        for kind, carried in self._traffic.items():
            clients.add_metric([kind], carried.clients)
            messages.add_metric([kind], carried.messages)
            sizes.add_metric([kind], carried.bytes)
            conflated.add_metric([kind], carried.conflated)
            closed.add_metric([kind, "stalled"], carried.stalled)
        yield from (clients, messages, sizes, conflated, closed)


def _counted(name: str, what: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, what, labels=labels)


class Metrics:
    """One process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "rest_requests",
            "HTTP requests answered",
            ["route", "status"],
            registry=self._registry,
        )
        self._newest_price_age = Gauge(
            "newest_price_age_seconds",
            "Since the extractor received the newest price",
            ["exchange"],
            registry=self._registry,
        )
        self._unreadable_share = Gauge(
            "unreadable_share",
            "Of the items that an exchange sent in the last minute, those that could not be read",
            ["exchange"],
            registry=self._registry,
        )
        self._price_age = Histogram(
            "price_age_seconds",
            "Of a batch's newest price when it is sent, since the extractor received it",
            buckets=AGES,
            registry=self._registry,
        )

    def answered(self, route: str, status: int) -> None:
        self._requests.labels(route, status).inc()

    def published(self, reading: Reading) -> None:
        """Call it when a reading was sent. One of all rows is left out: it may be as old as it likes."""
        if reading.previous is not None and reading.prices:
            newest = max(price.received_at for price in reading.prices)
            self._price_age.observe(time.time() - newest.timestamp())

    def watch_streams(self, traffic: Mapping[str, Traffic]) -> None:
        self._registry.register(StreamCollector(traffic))

    def watch_database(self, is_up: Callable[[], bool]) -> None:
        up = Gauge(
            "database_up", "1 while Postgres is read, 0 while it is away", registry=self._registry
        )
        up.set_function(is_up)

    def watch_newest_price(self, exchange: str, age: Callable[[], float | None]) -> None:
        """`age` is in seconds, None while there is no price."""
        self._newest_price_age.labels(exchange).set_function(or_nan(age))

    def watch_unreadable(self, exchange: str, share: Callable[[], float | None]) -> None:
        """`share` is from 0 to 1, None while the exchange sends nothing."""
        self._unreadable_share.labels(exchange).set_function(or_nan(share))

    def text(self) -> bytes:
        """In the text format of Prometheus."""
        return generate_latest(self._registry)


def or_nan(value: Callable[[], float | None]) -> Callable[[], float]:
    """NaN is how Prometheus writes a value that is not known."""

    def known() -> float:
        found = value()
        return math.nan if found is None else found

    return known


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
