"""`python -m infra.exchange` as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import quote

import pytest
import requests
from websockets.exceptions import ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect

from infra.exchange.binance import Binance
from infra.exchange.binance_frames import mini_ticker_array
from infra.exchange.coins import Coins
from infra.exchange.instrument import Instrument
from infra.exchange.limits import BinanceLimits
from infra.exchange.market import Market
from infra.exchange.server import Simulation
from infra.exchange.simulated_feed import SimulatedFeed
from infra.exchange.symbols import binance_listing, binance_trading
from tests.replay_exchange import running

COMMAND = [sys.executable, "-m", "infra.exchange"]


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server and its address. Its log is its standard error."""
    server = subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        first_line = server.stderr.readline()
        serving = re.search(r"serving on http://(127\.0\.0\.1:\d+)", first_line)
        assert serving, first_line
        yield server, serving[1]
    finally:
        server.kill()
        server.communicate(timeout=5)


def test_it_answers_when_it_serves_on_the_loopback_alone_and_knows_no_other_paths() -> None:
    with process() as (_, address):
        assert requests.get(f"http://{address}/healthz", timeout=5).status_code == 200
        for path in ("/api/v3/nothing", "/api/v1/nothing", "/nothing"):
            assert requests.get(f"http://{address}{path}", timeout=5).status_code == 404
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", int(address.rpartition(":")[2])), timeout=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds_and_the_log_tells_of_each_connection(
    number: signal.Signals,
) -> None:
    with process("--kucoin-rate", "6000") as (server, address):
        data = requests.post(f"http://{address}/api/v1/bullet-public", timeout=5).json()["data"]
        url = f"{data['instanceServers'][0]['endpoint']}?token={quote(data['token'], safe='')}"
        with (
            connect(f"ws://{address}/ws/!miniTicker@arr", close_timeout=0.1) as binance,
            connect(url, close_timeout=0.1) as kucoin,
        ):
            binance.recv(timeout=5)
            kucoin.send(
                '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'
            )
            # Read no further: a client that does not read must not delay the end.
            assert json.loads(kucoin.recv(timeout=5))["type"] == "welcome"
            began = time.monotonic()
            server.send_signal(number)
            # A second; a busy machine may take longer.
            assert server.wait(timeout=10) == 0
            assert time.monotonic() - began < 5
        assert server.stderr is not None
        log = server.stderr.read()
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


class BrokenMarket(Market):
    def turn(self, instruments: Sequence[Instrument], now: int) -> list[Instrument]:
        raise LookupError("the market broke")


def test_a_feed_that_fails_ends_the_server_with_its_error() -> None:
    _, kucoin = Simulation(binance_symbols=1).exchanges()
    pairs = binance_trading(binance_listing(), 1)
    broken = BrokenMarket(pairs, Coins(pairs, seed=1), seed=1, period=1, changed=1, traded=1, now=0)
    with (
        pytest.raises(ExceptionGroup) as failed,
        running(Binance(SimulatedFeed(broken, mini_ticker_array), pairs, pairs), kucoin) as address,
        connect(f"ws://{address}/ws/!miniTicker@arr") as client,
        pytest.raises(ConnectionClosedOK),
    ):
        # The announcement of the shutdown, and then the end.
        client.recv(timeout=5)
        client.recv(timeout=5)
    assert failed.group_contains(LookupError, match="the market broke")


def test_the_port_comes_from_the_environment_and_a_busy_one_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        ended = subprocess.run(
            COMMAND,
            env={**os.environ, "EXCHANGE_PORT": port},
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert ended.returncode == 1
    assert port in ended.stderr
    assert "address already in use" in ended.stderr


@pytest.mark.parametrize(
    ("simulation", "problem"),
    [
        (Simulation(binance_symbols=99999), "99999 Binance symbols: expected 1 to 1"),
        (Simulation(binance_changed=2), "2 of the instruments in a period: expected above 0 to 1"),
        (Simulation(kucoin_rate=-1), "-1 KuCoin frames a second: expected above 0"),
    ],
)
def test_a_setting_that_can_not_be_is_refused_by_its_value(
    simulation: Simulation, problem: str
) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        simulation.exchanges()


def test_times_and_tokens_are_set_by_options() -> None:
    with process("--kucoin-ping-interval", "0.5", "--tokens-once") as (_, address):
        bullet = requests.post(f"http://{address}/api/v1/bullet-public", timeout=5).json()["data"]
        assert bullet["instanceServers"][0]["pingInterval"] == 500
        url = f"ws://{address}/?token={quote(bullet['token'], safe='')}"
        with connect(url), pytest.raises(InvalidStatus), connect(url):
            pass


def test_a_time_that_can_not_be_is_refused_by_name_and_value() -> None:
    with pytest.raises(ValueError, match="BinanceLimits: ping_interval of 0 s: expected above 0"):
        BinanceLimits(ping_interval=0)


def test_a_wrong_option_ends_it_with_the_reason_alone() -> None:
    ended = subprocess.run(
        [*COMMAND, "--port", "0", "--kucoin-rate", "0"], capture_output=True, text=True, timeout=10
    )
    assert ended.returncode == 1
    assert ended.stderr == "infra.exchange: 0.0 KuCoin frames a second: expected above 0\n"
