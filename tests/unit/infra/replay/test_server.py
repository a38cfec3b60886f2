"""Test `python -m infra.replay`: its answers, its end, and the errors of its settings."""

import json
import math
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from infra.replay.__main__ import main
from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.faults.limits import BinanceLimits
from infra.replay.market.coins import Coins
from infra.replay.market.instrument import Instrument
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import binance_listing, binance_trading
from infra.replay.server import Simulation
from tests.support.process import Process, run
from tests.support.process import running as running_process
from tests.support.replay_exchange import kucoin_url, running
from tests.support.waiting import DEADLINE

pytestmark = [pytest.mark.independent, pytest.mark.long]

COMMAND = [sys.executable, "-m", "infra.replay"]


class Exchange(Process):
    """The server on a free port of its choice."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__([*COMMAND, "--port", "0", *options], folder / "log")

    def address(self) -> str:
        """Return the address in the log, once the server listens."""
        serving = r"serving on http://(127\.0\.0\.1:\d+)"
        found = self.wait_for(lambda: re.findall(serving, self.log()))
        return str(found[0])


def test_it_listens_on_its_address_alone_and_answers_404_to_unknown_paths(
    tmp_path: Path,
) -> None:
    with running_process(Exchange(tmp_path)) as exchange:
        address = exchange.address()
        assert requests.get(f"http://{address}/healthz", timeout=DEADLINE).status_code == 200
        for path in ("/api/v3/nothing", "/api/v1/nothing", "/nothing"):
            assert requests.get(f"http://{address}{path}", timeout=DEADLINE).status_code == 404
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", int(address.rpartition(":")[2])), DEADLINE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_though_a_client_reads_nothing_and_the_log_has_each_connection(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running_process(Exchange(tmp_path, "--kucoin-rate", "6000")) as exchange:
        address = exchange.address()
        data = bullet(address)
        url = f"{data['instanceServers'][0]['endpoint']}?token={quote(data['token'], safe='')}"
        with (
            connect(f"ws://{address}/ws/!miniTicker@arr", close_timeout=0.1) as binance,
            connect(url, close_timeout=0.1) as kucoin,
        ):
            binance.recv(timeout=DEADLINE)
            kucoin.send(
                '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'
            )
            types = [json.loads(kucoin.recv(timeout=DEADLINE))["type"] for _ in range(3)]
            assert types == ["welcome", "ack", "message"]
            # Stop reading: a client that does not read must not delay the shutdown.
            began = time.monotonic()
            exchange.signal(number)
            assert exchange.wait() == 0
            # The shutdown takes 1 s; a busy machine may take longer.
            assert time.monotonic() - began < 10
        log = exchange.log()
    assert len(re.findall(r"binance 127\.0\.0\.1:\d+ opened\n", log)) == 1
    assert len(re.findall(r"kucoin 127\.0\.0\.1:\d+ opened\n", log)) == 1
    closed = re.findall(r"(binance|kucoin) \S+ closed after (\d+) frames: (.+)\n", log)
    assert {(name, reason) for name, _, reason in closed} == {
        ("binance", "server shutdown"),
        ("kucoin", "server shutdown"),
    }
    assert all(int(frames) > 0 for _, frames, _ in closed)
    assert data["token"] not in log
    assert quote(data["token"], safe="") not in log
    assert "Traceback" not in log


def bullet(address: str) -> dict[str, Any]:
    answer = requests.post(f"http://{address}/api/v1/bullet-public", timeout=DEADLINE)
    data: dict[str, Any] = answer.json()["data"]
    return data


class BrokenMarket(Market):
    def turn(self, instruments: Sequence[Instrument], now: int) -> list[Instrument]:
        raise LookupError("the market broke")


def test_a_feed_that_fails_ends_the_server_with_its_error() -> None:
    _, kucoin = Simulation(binance_symbols=1).exchanges()
    pairs = binance_trading(binance_listing(), 1)
    broken = BrokenMarket(pairs, Coins(pairs, seed=1), seed=1, period=1, changed=1, traded=1, now=0)
    with (
        pytest.raises(ExceptionGroup) as failed,
        running(Binance(SimulatedSource(broken, BinanceUpdate), pairs, pairs), kucoin) as address,
        connect(f"ws://{address}/ws/!miniTicker@arr") as client,
        pytest.raises(ConnectionClosedOK),
    ):
        # First the announcement of the shutdown, then the close.
        client.recv(timeout=DEADLINE)
        client.recv(timeout=DEADLINE)
    assert failed.group_contains(LookupError, match="the market broke")


def test_the_port_comes_from_the_environment_and_a_busy_one_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        ended = run(COMMAND, {"EXCHANGE_PORT": port}, status=1)
    assert port in ended.stderr
    assert "address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("simulation", "problem"),
    [
        (Simulation(binance_symbols=99999), "99999 Binance symbols: expected 1 to 1"),
        (
            Simulation(binance_changed=2),
            "share of changed instruments 2: expected above 0, at most 1",
        ),
        (Simulation(kucoin_rate=-1), "-1 KuCoin frames a second: expected a finite number above 0"),
        (Simulation(kucoin_rate=math.inf), "inf KuCoin frames a second: expected a finite"),
    ],
)
def test_a_setting_that_can_not_be_is_refused_by_its_value(
    simulation: Simulation, problem: str
) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        simulation.exchanges()


def test_any_rate_of_kucoin_is_served() -> None:
    """Rounding makes the share of changed instruments 1.0000000000000002."""
    Simulation(kucoin_rate=10_048).exchanges()


def test_times_and_tokens_are_set_by_options(tmp_path: Path) -> None:
    options = ("--kucoin-ping-interval", "0.5", "--tokens-once")
    with running_process(Exchange(tmp_path, *options)) as exchange:
        address = exchange.address()
        data = bullet(address)
        assert data["instanceServers"][0]["pingInterval"] == 500
        url = kucoin_url(address)
        with connect(url), pytest.raises(InvalidStatus), connect(url):
            pass


def test_it_has_the_limits_of_the_exchanges_on_new_connections(tmp_path: Path) -> None:
    with running_process(Exchange(tmp_path)) as exchange:
        address = exchange.address()
        url = kucoin_url(address)
        kucoin = []
        for _ in range(31):
            with connect(url) as client:
                kucoin.append(json.loads(client.recv(timeout=DEADLINE))["type"])
        with requests.Session() as session:
            # A request without upgrade opens no WebSocket, but counts as an attempt.
            attempts = [
                session.get(f"http://{address}/ws", timeout=DEADLINE).status_code
                for _ in range(301)
            ]
    assert kucoin == 30 * ["welcome"] + ["error"]
    assert attempts == 300 * [400] + [429]


def test_a_time_that_can_not_be_is_refused_by_name_and_value() -> None:
    with pytest.raises(
        ValueError, match="BinanceLimits: ping_interval of 0 s: expected a finite number above 0"
    ):
        BinanceLimits(ping_interval=0)


def test_a_wrong_option_ends_it_with_the_reason_alone() -> None:
    ended = run([*COMMAND, "--port", "0", "--kucoin-rate", "0"], status=1)
    problem = "0.0 KuCoin frames a second: expected a finite number above 0"
    assert ended.stderr == f"infra.replay: {problem}\n"
    ended = run([*COMMAND, "--port", "70000"], status=2)
    assert "argument --port: 70000: expected a port" in ended.stderr


def test_a_feed_that_fails_ends_the_program_with_the_reason_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def serve(*_arguments: object) -> None:
        raise ExceptionGroup("feeds", [OSError("the store is unavailable")])

    monkeypatch.setattr("infra.replay.__main__.serve", serve)
    monkeypatch.setattr(sys, "argv", ["infra.replay"])
    with pytest.raises(SystemExit, match=r"^infra\.replay: the store is unavailable$"):
        main()
