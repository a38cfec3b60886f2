"""Compare exchanges by the instruments and prices in a real Postgres."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest

from infra.stack import Stack
from tests.support.live_job import list_instruments, ticker, wait_for_batch, write_batch
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database

NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=1)

PAIRS = [
    ("BTC", "USDT", "BTCUSDT", "BTC-USDT", "TRADING"),
    ("BSV", "USDT", "BSVUSDT", "BCHSV-USDT", "TRADING"),
    ("OLD", "USDT", "OLDUSDT", "OLD-USDT", "TRADING"),
    ("OFF", "USDT", "OFFUSDT", "OFF-USDT", "HALT"),
    ("BTC", "EUR", "BTCEUR", "BTC-EUR", "TRADING"),
]


@pytest.fixture(scope="module")
def server(stack: Stack) -> Iterator[ServerProcess]:
    """One server for all tests, which only read."""
    database = new_database(stack)
    instruments = [
        row
        for base, quote, on_binance, on_kucoin, status in PAIRS
        for row in (
            ("binance", on_binance, base, quote, "TRADING"),
            ("kucoin", on_kucoin, base, quote, status),
        )
    ]
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        list_instruments(owner, *instruments)
    tickers = [
        row
        for _, _, on_binance, on_kucoin, _ in PAIRS
        for row in (
            ticker("binance", on_binance, "85439.99", traded_at=None),
            ticker("kucoin", on_kucoin, "85450.01", traded_at=datetime.now(UTC)),
        )
    ]
    tickers += [
        ticker("kucoin", "OLD-USDT", "85450.01", traded_at=LONG_AGO),
        ticker("kucoin", "BCHSV-USDT", "0.00000001", traded_at=datetime.now(UTC)),
    ]
    unique = {(row["exchange"], row["symbol"]): row for row in tickers}
    batch_id = write_batch(database.database_url, list(unique.values()))
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        yield server


def pairs(server: ServerProcess, **which: str) -> dict[str, dict[str, Any]]:
    answer = server.get("/api/compare", **which)
    assert answer.status_code == 200, answer.text
    return {pair["base"]: pair for pair in answer.json()["pairs"]}


def test_a_pair_has_its_venues_and_their_difference(server: ServerProcess) -> None:
    bitcoin = pairs(server)["BTC"]

    ages = [venue.pop("age_seconds") for venue in bitcoin["venues"]]
    assert all(0 <= age < 60 for age in ages)
    same = {"status": "TRADING", "simulated": True, "stale": False}
    assert bitcoin == {
        "base": "BTC",
        "quote": "USDT",
        "venues": [
            same | {"exchange": "binance", "symbol": "BTCUSDT", "price": "85439.99"},
            same | {"exchange": "kucoin", "symbol": "BTC-USDT", "price": "85450.01"},
        ],
        "difference_bp": "1.17",
        "probably_two_coins": False,
    }


def test_two_coins_of_one_name_are_marked(server: ServerProcess) -> None:
    other = pairs(server)["BSV"]

    assert (other["difference_bp"], other["probably_two_coins"]) == ("85439989999990000", True)


def test_stale_and_halted_ones_come_only_when_asked_for(server: ServerProcess) -> None:
    assert set(pairs(server)) == {"BTC", "BSV"}
    assert set(pairs(server, include="stale")) == {"BTC", "BSV", "OLD"}
    assert set(pairs(server, include="halted")) == {"BTC", "BSV", "OFF"}
    every = pairs(server, include="stale,halted")
    assert set(every) == {"BTC", "BSV", "OLD", "OFF"}
    assert [venue["stale"] for venue in every["OLD"]["venues"]] == [False, True]
    assert every["OLD"]["venues"][1]["age_seconds"] >= 3600
    assert every["OFF"]["venues"][1]["status"] == "HALT"


def test_another_quote_has_other_pairs(server: ServerProcess) -> None:
    assert pairs(server, quote="EUR")["BTC"]["venues"][1]["symbol"] == "BTC-EUR"
    assert pairs(server, quote="XYZ") == {}


def test_a_bad_parameter_is_named(server: ServerProcess) -> None:
    answer = server.get("/api/compare", include="delisted", quotes="USDT")

    assert answer.status_code == 422
    assert [e["parameter"] for e in answer.json()["errors"]] == ["include", "quotes"]
