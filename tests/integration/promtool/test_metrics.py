"""Check the metrics of every program of a running demo with promtool. `make test-metrics` runs it."""

import subprocess
from collections.abc import Iterator

import pytest
import requests

from infra.stack import Stack
from tests.support.stacks import demo_stack

TIMEOUT = 30.0


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with demo_stack("promtool") as stack:
        yield stack


def test_promtool_finds_nothing_in_the_metrics_of_any_program(demo: Stack, promtool: str) -> None:
    settings = demo.settings
    ports = [
        settings.server_port,
        settings.live_prices_metrics_port,
        *(exchange.metrics_port for exchange in settings.exchanges.values()),
    ]
    for port in ports:
        answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=TIMEOUT)
        assert answer.ok
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input=answer.text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert (port, checked.returncode, checked.stdout + checked.stderr) == (port, 0, "")
