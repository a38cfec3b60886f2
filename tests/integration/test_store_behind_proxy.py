"""Reach an object store on loopback although HTTP_PROXY names a proxy and NO_PROXY is empty."""

import sys

import pytest

from core.settings import Settings
from infra.ports import free_ports
from tests.support.process import run

READY = """
from core.settings import STACK, Settings
from infra.services import object_store
print(object_store.is_ready(Settings.from_environment(STACK)))
"""

TABLE = """
from core.settings import STACK, Settings
from infra.services import ticker_table
print(ticker_table.opened(Settings.from_environment(STACK)) is None)
"""


@pytest.mark.parametrize("program", [READY, TABLE], ids=["boto3", "delta-rs"])
def test_store_on_loopback_is_reached_without_the_proxy(lake: Settings, program: str) -> None:
    (dead,) = free_ports(1)
    proxied = {"HTTP_PROXY": f"http://127.0.0.1:{dead}", "NO_PROXY": "", "no_proxy": ""}
    proxied["http_proxy"] = proxied["HTTP_PROXY"]
    done = run([sys.executable, "-c", program], lake.environment() | proxied, deadline=120)
    assert done.stdout == "True\n"
