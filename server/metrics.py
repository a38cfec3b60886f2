"""Metrics of the server for Prometheus. Names begin with `server_`, except `process_…` and former names."""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.metrics import new_registry
from server.deprecated_metrics import FormerNames
from server.state.price_table import Reading
from server.streams.client import Traffic

AGES = (0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)
"""Upper bounds of the buckets of `server_price_age_seconds`."""

REFUSED = "(refused)"
"""Value of the label `route` for requests answered before routing: refused ones, and CORS preflights."""


class StreamCollector(Collector):
    """Collect the streams' own counters at each scrape, so a message costs nothing extra.

    `traffic` maps the kind of stream, ws or sse, to its counters.
    """

    def __init__(self, traffic: Mapping[str, Traffic]) -> None:
        self._traffic = traffic

    def collect(self) -> Iterator[Metric]:
        clients = GaugeMetricFamily("server_stream_clients", "Open streams", labels=["kind"])
        messages = _counter("server_stream_messages", "Messages sent", "kind")
        sizes = _counter("server_stream_bytes", "Bytes of messages sent", "kind")
        conflated = _counter(
            "server_stream_conflated", "Batches merged with later ones for a slow client", "kind"
        )
        closed = _counter("server_stream_closed", "Streams closed by the server", "kind", "reason")
        for kind, counters in self._traffic.items():
            clients.add_metric([kind], counters.clients)
            messages.add_metric([kind], counters.messages)
            sizes.add_metric([kind], counters.bytes)
            conflated.add_metric([kind], counters.conflated)
            closed.add_metric([kind, "stalled"], counters.stalled)
        yield from (clients, messages, sizes, conflated, closed)


def _counter(name: str, help: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, help, labels=labels)


class Metrics:
    """Metrics of one server process."""

    def __init__(self) -> None:
        self._registry = new_registry("server")
        self._exported = CollectorRegistry(auto_describe=False)
        self._exported.register(self._registry)
        self._exported.register(FormerNames(self._registry))
        self._requests = Counter(
            "server_requests",
            "HTTP requests answered",
            ["route", "status"],
            registry=self._registry,
        )
        self._newest_price_age = Gauge(
            "server_newest_price_age_seconds",
            "Seconds since the extractor received the newest price",
            ["exchange"],
            registry=self._registry,
        )
        self._newest_price_age_limit = Gauge(
            "server_newest_price_age_limit_seconds",
            "Age above which prices no longer count as live",
            ["exchange"],
            registry=self._registry,
        )
        self._unreadable_share = Gauge(
            "server_unreadable_share",
            "Share of the items of the last minute that could not be read, from 0 to 1",
            ["exchange"],
            registry=self._registry,
        )
        self._price_age = Histogram(
            "server_price_age_seconds",
            "Seconds from when the extractor received a batch's newest price until it is sent",
            buckets=AGES,
            registry=self._registry,
        )

    def answered(self, route: str, status: int) -> None:
        self._requests.labels(route, status).inc()

    def published(self, reading: Reading) -> None:
        """Observe the age of a reading that is sent. Skip a reading of all rows: these may be old."""
        if reading.previous is not None and reading.prices:
            newest = max(price.received_at for price in reading.prices)
            self._price_age.observe(time.time() - newest.timestamp())

    def watch_streams(self, traffic: Mapping[str, Traffic]) -> None:
        self._registry.register(StreamCollector(traffic))

    def watch_database(self, is_up: Callable[[], bool]) -> None:
        up = Gauge(
            "server_database_up",
            "1 while Postgres can be read, 0 while it is unavailable",
            registry=self._registry,
        )
        up.set_function(is_up)

    def watch_newest_price(
        self, exchange: str, limit: float, age: Callable[[], float | None]
    ) -> None:
        """`limit` is in seconds. `age` returns seconds, or None while there is no price."""
        self._newest_price_age_limit.labels(exchange).set(limit)
        self._newest_price_age.labels(exchange).set_function(or_nan(age))

    def watch_unreadable(self, exchange: str, share: Callable[[], float | None]) -> None:
        """`share` returns 0 to 1, or None while the exchange sends nothing."""
        self._unreadable_share.labels(exchange).set_function(or_nan(share))

    def text(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics and their media type: OpenMetrics if the header `Accept` lists it.

        Otherwise they have Prometheus' text format.
        """
        try:
            # The library takes the quotes around a version, which HTTP allows, as part of it.
            encode, media_type = choose_encoder(accept.replace('"', ""))
        except TypeError:  # A version is not a number.
            encode, media_type = choose_encoder("")
        return encode(self._exported), media_type


def or_nan(value: Callable[[], float | None]) -> Callable[[], float]:
    """Return a function that returns NaN, Prometheus' form of an unknown value, instead of None."""

    def known() -> float:
        found = value()
        return math.nan if found is None else found

    return known


class CountRequests:
    """ASGI middleware that counts answers by route and status.

    An uncaught error before the start of an answer counts as 500.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            is_counted = True
            # The router stores the matched route in the scope; a mount stores its path alone.
            route = scope.get("route")
            path = route.path if route else scope.get("root_path") or REFUSED
            # Keep the former label: before symbols could contain a slash, the route had `{symbol}`.
            self._metrics.answered(path.replace("{symbol:path}", "{symbol}"), status)

        async def send_counted(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        except Exception:
            if not is_counted:
                count(500)
            raise
