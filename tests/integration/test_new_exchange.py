"""Add an exchange by one file and one name: its prices reach clients, page and lake without other code."""

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from playwright.sync_api import Page, expect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from core.settings import Settings
from infra.paths import PROJECT
from infra.ports import free_ports
from tests.support import lake as lake_of
from tests.support.jobs import QUICK, SPARK_SUBMIT
from tests.support.loopback import http_server, websocket_server
from tests.support.page import price
from tests.support.process import Process, run, running
from tests.support.server import ServerProcess, running_server
from tests.support.waiting import wait_for

PACKAGES = ("core", "exchanges", "extractors", "infra", "server", "spark_jobs")
FILE = PROJECT / "tests" / "support" / "lumen.py"
REGISTERED, WITH_LUMEN = "(BINANCE, KUCOIN)", "(BINANCE, KUCOIN, LUMEN)"

MARKETS = [
    {"id": "BTC/USD", "base": "BTC", "quote": "USD", "open": True, "last": 85439.99, "volume": 7},
    {"id": "ETH/USD", "base": "ETH", "quote": "USD", "open": False, "last": 1830.5, "volume": 9},
]
BEGAN = "2025-03-28T07:37:28"

DERIVED = """
from core.settings import STACK, Settings
from infra import ports, up
settings = Settings.from_environment(STACK)
print([port.setting for port in ports.of_settings(settings)], up.EXTRACTORS)
"""


@dataclass
class Running:
    """The programs of a copy of the project that knows Lumen."""

    settings: Settings
    environment: dict[str, str]
    server: ServerProcess
    metrics_port: int


def talk(connection: ServerConnection) -> None:
    """Send a ticker of each market that was subscribed to, ten times a second."""
    asked = json.loads(connection.recv())["subscribe"]
    assert asked == [market["id"] for market in MARKETS]
    with suppress(ConnectionClosed):
        connection.send(json.dumps({"subscribed": len(asked)}))
        for number in range(1_000_000):
            for symbol in asked:
                connection.send(frame(symbol, number))
            time.sleep(0.1)


def frame(symbol: str, number: int) -> str:
    """Return a ticker's frame, without json.dumps: a float would lose digits of its numbers."""
    return (
        f'{{"ticker":{{"at":"{BEGAN}.{number:06}Z","market":{{"id":"{symbol}"}},'
        f'"last":85439.990000000000000{number % 1000:03},"best":{{"bid":85439.5,"ask":8.54401e4}}}}}}'
    )


def documents() -> str:
    """Return the answer to every request: the markets, and a candle of the minute before this one."""
    minute = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    candle = f'["{minute:%Y-%m-%dT%H:%M:%SZ}",85439.990000000000000123,85450.01,8.543e4,85440.10]'
    return f'{{"markets":{json.dumps(MARKETS)},"candles":[{candle}]}}'


def copied_project(folder: Path) -> Path:
    """Return a copy of the project with one file and one name more."""
    for package in PACKAGES:
        shutil.copytree(
            PROJECT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(FILE, folder / "exchanges" / "lumen.py")
    registry = folder / "exchanges" / "__init__.py"
    text = registry.read_text()
    assert REGISTERED in text
    registered = text.replace(REGISTERED, WITH_LUMEN)
    registry.write_text(f"from exchanges.lumen import LUMEN\n{registered}")
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def lumen(project: Path, own_lake: Settings, tmp_path: Path) -> Iterator[Running]:
    """Everything that runs for one exchange, from its own socket to the server."""
    (metrics_port,) = free_ports(1)
    with ExitStack() as programs:
        ws_url = programs.enter_context(websocket_server(talk))
        rest_url = programs.enter_context(http_server(documents))
        # PYTHONSAFEPATH: otherwise Python would import from the current folder, the original project.
        packages = {"PYTHONPATH": str(project), "PYTHONSAFEPATH": "1"}
        environment = own_lake.environment() | packages
        environment |= {
            "JOURNAL_DIR": str(tmp_path / "journal"),
            "LUMEN_WS_URL": ws_url,
            "LUMEN_REST_URL": rest_url,
            "LUMEN_METRICS_PORT": str(metrics_port),
            "LUMEN_BATCH_SECONDS": "0.1",
            "BACKFILL_1M_HOURS": "1",
        }
        run([sys.executable, "-m", "infra", "initialise"], environment)

        def start(command: list[str | Path], name: str) -> None:
            programs.enter_context(running(Process(command, tmp_path / f"{name}.log", environment)))

        start([sys.executable, "-m", "extractors", "lumen"], "lumen")
        start([SPARK_SUBMIT, *QUICK, project / "spark_jobs" / "jobs.py"], "jobs")
        server = programs.enter_context(
            running_server(own_lake.reader_database_url, None, **packages)
        )
        yield Running(own_lake, environment, server, metrics_port)


def first_price(lumen: Running) -> dict[str, Any]:
    """Return the first price of BTC/USD that a WebSocket client receives."""
    with connect(f"{lumen.server.stream}?exchange=lumen") as client:
        while True:
            message = json.loads(client.recv(timeout=120))
            for price in message.get("prices", []):
                assert price["exchange"] == "lumen"
                if price["symbol"] == "BTC/USD":
                    return dict(price)


def test_one_file_and_one_name_bring_an_exchange_from_its_socket_to_all_ends(
    lumen: Running, page: Page
) -> None:
    price = first_price(lumen)
    event_time = datetime.fromisoformat(price["event_time"])
    assert event_time.replace(microsecond=0) == datetime.fromisoformat(f"{BEGAN}Z")
    last_digits = f"{event_time.microsecond % 1000:03}"
    assert price["price"] == f"85439.990000000000000{last_digits}".rstrip("0")
    assert (price["bid"], price["ask"], price["bid_size"]) == ("85439.5", "85440.1", None)
    assert price["sequence"] == round(event_time.timestamp() * 1_000_000)
    assert (price["topic"], price["endpoint"]) == ("lumen_raw_data", "127.0.0.1")
    assert price["simulated"]

    feeds = lumen.server.get("/api/feeds").json()["feeds"]
    assert [(feed["exchange"], feed["title"]) for feed in feeds] == [
        ("binance", "Binance"),
        ("kucoin", "KuCoin"),
        ("lumen", "Lumen"),
    ]
    refused = lumen.server.get("/api/prices", exchange="kraken")
    assert "Input should be 'binance', 'kucoin' or 'lumen'" in refused.text
    document = lumen.server.get("/openapi.json").text
    assert '"enum":["binance","kucoin","lumen"]' in document.replace(" ", "")
    wait_for(lambda: fresh(lumen.server), lambda found: found == ["lumen"])
    wait_for(lambda: instruments(lumen.server), lambda found: len(found) == 2)
    assert instruments(lumen.server) == [
        ("BTC/USD", "BTC", "USD", "TRADING"),
        ("ETH/USD", "ETH", "USD", "CLOSED"),
    ]
    metrics = requests.get(f"http://127.0.0.1:{lumen.metrics_port}/metrics", timeout=10).text
    assert 'extractor_items_total{exchange="lumen"}' in metrics
    assert_is_derived(lumen)
    assert_is_on_the_page(lumen, page)
    assert_is_in_the_lake(lumen)
    assert_has_candles_of_before_the_start(lumen)


def fresh(server: ServerProcess) -> list[str]:
    """Return the exchanges whose newest price is fresh."""
    ready = server.get("/readyz").json()["exchanges"]
    return [each["exchange"] for each in ready if each["fresh"]]


def instruments(server: ServerProcess) -> list[tuple[str, ...]]:
    found = server.get("/api/instruments", exchange="lumen").json()["instruments"]
    return sorted((f["symbol"], f["base"], f["quote"], f["status"]) for f in found)


def assert_is_derived(lumen: Running) -> None:
    """Assert that its metrics port and its extractor are known, and that its settings are checked."""
    printed = run([sys.executable, "-c", DERIVED], lumen.environment).stdout
    assert "'LUMEN_METRICS_PORT'" in printed
    assert "('binance', 'kucoin', 'lumen')" in printed
    wrong = lumen.environment | {"LUMEN_REST_URL": "api.lumen.example"}
    refused = run([sys.executable, "-m", "extractors", "lumen"], wrong, status=2)
    assert "LUMEN_REST_URL='api.lumen.example': expected http://host:port" in refused.stderr


def assert_has_candles_of_before_the_start(lumen: Running) -> None:
    def first_interruption() -> dict[str, Any]:
        feed = lumen.server.get("/api/feeds").json()["feeds"][-1]
        return {"pairs": feed["pairs"], **feed["events"][-1]}

    # The candle of the minute of the first price is requested when that minute is over.
    found = wait_for(first_interruption, lambda event: event["filled"], deadline=120)
    assert (found["kind"], found["pairs"], found["filled_pairs"]) == ("interruption", 1, 1)
    answer = lumen.server.get(f"/api/candles/lumen/{quote('BTC/USD', safe='')}", source="exchange")
    [candle] = answer.json()["candles"]
    assert [candle[name] for name in ("open", "high", "low", "close", "source")] == [
        *("85439.990000000000000123", "85450.01", "85430", "85440.1", "exchange")
    ]


def assert_is_on_the_page(lumen: Running, page: Page) -> None:
    page.goto(lumen.server.page)
    expect(page.get_by_role("columnheader", name="Lumen", exact=True)).to_be_visible()
    page.locator("#exchange-chips button", has_text="Lumen").click()
    expect(price(page, "BTC/USD", "lumen")).to_have_text(re.compile(r"\d"))


def assert_is_in_the_lake(lumen: Running) -> None:
    def symbols() -> set[tuple[str, str]]:
        rows = lake_of.ticker_rows(lumen.settings)
        return {(row["exchange"], row["symbol"]) for row in rows}

    everything = {("lumen", "BTC/USD"), ("lumen", "ETH/USD")}
    wait_for(symbols, lambda found: found == everything)
    raw = wait_for(lambda: lake_of.archived(lumen.settings, "raw"))
    assert {record[0] for record in raw} == {"lumen_raw_data"}
