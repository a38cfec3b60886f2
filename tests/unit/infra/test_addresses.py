"""Test that programs that listen on every address are reached on loopback."""

import socket

import pytest
import requests
from prometheus_client import CollectorRegistry

from core.metrics_server import serve_metrics
from core.settings import Settings
from infra.addresses import reachable_address
from infra.ports import free_ports
from server.sockets import listening_sockets
from tests.support.waiting import DEADLINE


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::0", "[::1]")]
)
def test_server_that_listens_on_every_address_is_reached_on_loopback(
    host: str, address: str
) -> None:
    own, shared = free_ports(2)
    settings = Settings(server_host=host, server_port=own, server_shared_port=shared)
    sockets = listening_sockets(settings)
    assert sockets is not None
    try:
        for listener, port in zip(sockets, (own, shared), strict=True):
            reached = reachable_address(host, port)
            assert reached == f"{address}:{port}"
            with socket.create_connection((address.strip("[]"), port), timeout=DEADLINE) as client:
                accepted, peer = listener.accept()
                accepted.close()
                assert peer[:2] == client.getsockname()[:2]
    finally:
        for listener in sockets:
            listener.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_metrics_of_every_address_are_read_on_loopback(host: str) -> None:
    port = serve_metrics(host, 0, CollectorRegistry())
    answer = requests.get(f"http://{reachable_address(host, port)}/metrics", timeout=DEADLINE)
    assert answer.status_code == 200
