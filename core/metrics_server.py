"""Serve a program's metrics to Prometheus."""

from contextlib import suppress
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import CollectorRegistry, start_http_server

IDLE_SECONDS = 10.0
"""A connection that sends nothing for this long is closed: each holds a thread and a descriptor."""


class Handler(WSGIRequestHandler):
    timeout = IDLE_SECONDS

    def handle(self) -> None:
        with suppress(TimeoutError):
            super().handle()

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing: a scrape is no event."""


def serve_metrics(host: str, port: int, registry: CollectorRegistry) -> int:
    """Serve http://host:port/metrics in a separate thread. Return the port, which differs if it was 0.

    Raise OSError if the port is in use.
    """
    server, _ = start_http_server(port, host, registry)
    server.RequestHandlerClass = Handler
    return server.server_port
