"""Serve the last 24 hours of all symbols, from candles of ours and of the exchange."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
import requests
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from server.rest.last_day import Computed, compute_last_day
from server.rest.query_connection import QueryConnection
from server.state.price_table import PriceTable, Reading
from tests.support.last_day import start_of_last_day
from tests.support.live_job import (
    accept_any_time,
    insert,
    list_instruments,
    price,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import no_connections
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database
from tests.support.waiting import wait_for

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def start() -> datetime:
    return start_of_last_day()


@pytest.fixture(scope="module")
def database(stack: Stack, start: datetime) -> Settings:
    """The feed of Binance was connected in the last two hours, with an interruption in the first of them.

    BTCUSDT has the exchange's candles of all hours before, ETHEUR those of all 24 hours but the first two.
    KuCoin has no candles.
    """
    database = new_database(stack)
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        accept_any_time(owner, "candles_1m", "exchange_candles_1m", "exchange_candles_1h")
        list_instruments(
            owner,
            ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
            ("binance", "ETHEUR", "ETH", "EUR", "TRADING"),
            ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
        )
        connected = start + 22 * HOUR
        events = [
            ("connection", connected, None),
            ("interruption", connected + 10 * MINUTE, connected + 12 * MINUTE),
        ]
        insert(
            owner,
            "INSERT INTO feed_events VALUES %s",
            [("binance", None, kind, None, *times, 0) for kind, *times in events],
        )
        theirs(owner, "BTCUSDT", "1h", [start + number * HOUR for number in range(22)])
        theirs(owner, "BTCUSDT", "1m", [connected + 11 * MINUTE])
        theirs(owner, "ETHEUR", "1h", [start + number * HOUR for number in range(2, 24)])
        ours(owner, "BTCUSDT", [connected + number * MINUTE for number in (0, 11, 119)])
        ours(owner, "ETHEUR", [connected + 119 * MINUTE])
        requested(owner, "BTCUSDT", start, start + 22 * HOUR)
        requested(owner, "ETHEUR", start - HOUR, start + 24 * HOUR)
    return database


@pytest.fixture(scope="module")
def server(database: Settings) -> Iterator[ServerProcess]:
    tickers = [
        ticker("binance", "BTCUSDT", "1"),
        ticker("binance", "ETHEUR", "1"),
        ticker("kucoin", "BTC-USDT", "1"),
    ]
    batch_id = write_batch(database.database_url, tickers)
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        yield server


def ours(owner: connection, symbol: str, minutes: Sequence[datetime]) -> None:
    """Insert candles of ours that open at 10 and close at 11, between 9 and 12."""
    rows = [("binance", symbol, minute, 10, 12, 9, 11, 1, 2, 3) for minute in minutes]
    insert(owner, "INSERT INTO candles_1m VALUES %s", rows)


def theirs(owner: connection, symbol: str, interval: str, starts: Sequence[datetime]) -> None:
    """Insert candles of the exchange that open at 20 and close at 21, with volumes of 1.5 and 30."""
    end = {"1m": MINUTE, "1h": HOUR}[interval]
    rows = [
        ("binance", symbol, interval, start, 20, 22, 19, 21, "1.5", 30, 5, start + end)
        for start in starts
    ]
    insert(owner, "INSERT INTO exchange_candles VALUES %s", rows)


def requested(owner: connection, symbol: str, start: datetime, end: datetime) -> None:
    row = ("binance", symbol, "1h", start, end, end, None)
    insert(owner, "INSERT INTO exchange_candle_spans VALUES %s", [row])


def days(server: ServerProcess, **query: Any) -> list[dict[str, Any]]:
    answer = server.get("/api/last-day", **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["days"]
    return found


def test_a_day_is_made_of_ours_and_of_the_exchanges_candles(
    server: ServerProcess, start: datetime
) -> None:
    answer = server.get("/api/last-day").json()

    assert (answer["from"], answer["to"]) == (
        f"{start:%Y-%m-%dT%H}:00:00.000000Z",
        f"{start + 24 * HOUR:%Y-%m-%dT%H}:00:00.000000Z",
    )
    assert datetime.now(UTC) - datetime.fromisoformat(answer["time"]) < MINUTE
    bitcoin, ether, unknown = answer["days"]
    # The exchange's minute replaces ours, which was interrupted. No volume: 2 of 24 hours were not requested.
    assert bitcoin == {
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "open": "20",
        "high": "22",
        "low": "9",
        "base_volume": None,
        "quote_volume": None,
        "closes": [*["21"] * 23, "11"],
    }
    # Prices of the last hour are ours, volumes the exchange's.
    assert ether == {
        "exchange": "binance",
        "symbol": "ETHEUR",
        "open": None,
        "high": "22",
        "low": "9",
        "base_volume": "33",
        "quote_volume": "660",
        "closes": [None, None, *["21"] * 21, "11"],
    }
    assert unknown == {
        "exchange": "kucoin",
        "symbol": "BTC-USDT",
        "open": None,
        "high": None,
        "low": None,
        "base_volume": None,
        "quote_volume": None,
        "closes": [None] * 24,
    }


def test_days_are_selected_as_prices_are(server: ServerProcess) -> None:
    def symbols(**query: Any) -> list[str]:
        return [each["symbol"] for each in days(server, **query)]

    assert symbols(exchange="binance") == ["BTCUSDT", "ETHEUR"]
    assert symbols(exchange=["binance", "kucoin"], quote="usdt") == ["BTCUSDT", "BTC-USDT"]
    assert symbols(symbol=["ETHEUR", "BTC-USDT"]) == ["ETHEUR", "BTC-USDT"]
    assert symbols(symbol="NONE") == []
    refused = server.get("/api/last-day", exchange="kraken")
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "exchange")


def test_all_requests_of_a_minute_get_the_same_answer(server: ServerProcess) -> None:
    wait_for(lambda: datetime.now(UTC), lambda now: now.second < 50)
    with ThreadPoolExecutor(8) as clients:
        answers = [*clients.map(lambda _: server.get("/api/last-day"), range(8))]

    assert len({answer.json()["time"] for answer in answers}) == 1
    etag = answers[0].headers["ETag"]
    same = server.get("/api/last-day", {"If-None-Match": etag})
    assert (same.status_code, same.headers["ETag"].removeprefix("W/")) == (
        304,
        etag.removeprefix("W/"),
    )
    url = f"{server.page}api/last-day"
    head = requests.head(url, timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def test_without_postgres_it_is_unavailable(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with no_connections(database, owner.info.dbname):
        answer = wait_for(
            lambda: server.get("/api/last-day"), lambda answer: answer.status_code != 200
        )

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "Postgres does not answer"


def test_days_are_read_again_only_if_something_has_changed(stack: Stack, start: datetime) -> None:
    database = new_database(stack)
    now = start + 24 * HOUR + 30 * MINUTE

    def closes(before: Computed | None, *symbols: str) -> tuple[Computed, list[list[str | None]]]:
        async def compute() -> Computed:
            rows = [price("binance", symbol, "1", received_at=now) for symbol in symbols]
            prices = PriceTable(Reading("epoch", 1, None, rows))
            queries = QueryConnection(database.reader_database_url)
            try:
                return await compute_last_day(queries, prices, now, before)
            finally:
                queries.close()

        found = asyncio.run(compute())
        return found, [json.loads(found.days["binance", each])["closes"] for each in symbols]

    without, of_21 = [None] * 24, ["21", *[None] * 23]
    first, [bitcoin] = closes(None, "BTCUSDT")
    assert bitcoin == without
    assert closes(first, "BTCUSDT")[0] is first
    with closing(psycopg2.connect(database.database_url)) as owner:
        owner.autocommit = True
        accept_any_time(owner, "exchange_candles_1h")
        for symbol in ("BTCUSDT", "ETHEUR"):
            theirs(owner, symbol, "1h", [start])
        # The request is recorded together with the candles, so without it they are not looked for.
        second, [bitcoin, ether] = closes(first, "BTCUSDT", "ETHEUR")
        assert (bitcoin, ether) == (without, of_21)
        requested(owner, "BTCUSDT", start, start + HOUR)
        _, [bitcoin, ether] = closes(second, "BTCUSDT", "ETHEUR")
        assert (bitcoin, ether) == (of_21, of_21)
