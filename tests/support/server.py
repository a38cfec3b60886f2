"""Run the server as users do: `python -m server` in a separate process, on a free port."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from infra.ports import free_ports
from tests.support.process import Process, running

DEADLINE = 60.0
"""Timeout for one answer or message, in seconds."""


class ServerProcess(Process):
    """The server on `port`."""

    stop_limit = 10.0
    """The supervisor's limit (default of stopwaitsecs), in seconds."""

    def __init__(self, reader_database_url: str, port: int, log: Path, **environment: str) -> None:
        self.port = port
        own = {
            "READER_DATABASE_URL": reader_database_url,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
        }
        super().__init__([sys.executable, "-m", "server"], log, own | environment)

    def get(
        self, path: str, headers: dict[str, str] | None = None, /, **params: str
    ) -> requests.Response:
        address = f"http://127.0.0.1:{self.port}{path}"
        return requests.get(address, params=params, headers=headers, timeout=DEADLINE)

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    def is_healthy(self) -> bool:
        try:
            return self.get("/healthz").ok
        except requests.ConnectionError:
            return False


@contextmanager
def running_server(
    reader_database_url: str, port: int | None = None, /, **environment: str
) -> Iterator[ServerProcess]:
    """Yield a server that answers. It is killed at the end: an orderly stop takes half a second."""
    port = port or free_port()
    with TemporaryDirectory() as folder:
        server = ServerProcess(reader_database_url, port, Path(folder) / "log", **environment)
        with running(server):
            server.wait_for(server.is_healthy)
            yield server


def metrics(server: ServerProcess) -> dict[Any, float]:
    """Return the value of each sample by name, or by name and labels if it has any."""
    answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.items()))
        if sample.labels
        else sample.name: sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def free_port() -> int:
    (port,) = free_ports(1)
    return port
