"""Test that metrics are served, and that idle connections are closed."""

import socket

import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge

from core.metrics_server import Handler, serve_metrics
from tests.support.waiting import DEADLINE


@pytest.fixture(scope="module")
def port() -> int:
    registry = CollectorRegistry()
    Gauge("example", "An example", registry=registry).set(7)
    return serve_metrics("127.0.0.1", 0, registry)


def test_metrics_are_served(port: int) -> None:
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE)
    assert "example 7.0" in answer.text.splitlines()


@pytest.mark.parametrize("sent", [b"", b"GET /metrics HTTP/1.1\r\nHost: "], ids=["nothing", "half"])
def test_connection_that_sends_no_request_is_closed(
    port: int, sent: bytes, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Handler, "timeout", 0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(sent)
        assert connection.recv(1000) == b""
    assert capfd.readouterr() == ("", "")
