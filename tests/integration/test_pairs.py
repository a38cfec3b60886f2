"""Read the view `pairs` as a BI tool does: one row per pair, both exchanges side by side."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from exchanges import EXCHANGE
from tests.support.last_day import start_of_last_day
from tests.support.live_job import (
    accept_any_time,
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import rows
from tests.support.server import running_server

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

# Ages are in hours: a busy machine may delay the query.
FIGURES = """
SELECT pair, base, quote,
    binance_symbol, binance_price, binance_change_24h, round(binance_age / 3600),
    kucoin_symbol, kucoin_price, kucoin_change_24h, round(kucoin_age / 3600)
FROM pairs
"""


@pytest.fixture
def reader(database: Settings) -> Iterator[connection]:
    with closing(psycopg2.connect(database.reader_database_url)) as opened:
        opened.autocommit = True
        yield opened


def write(database: Settings, exchange: str, symbol: str, price: str, **columns: Any) -> None:
    columns.setdefault("received_at", datetime.now(UTC) - 10 * HOUR)
    write_batch(database.database_url, [ticker(exchange, symbol, price, **columns)])


def test_a_pair_is_one_row_with_the_figures_of_each_exchange(
    database: Settings, owner: connection, reader: connection
) -> None:
    list_instruments(
        owner,
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "KCS-BTC", "KCS", "BTC", "TRADING"),
        ("binance", "ETHUSDT", "ETH", "USDT", "TRADING"),
    )
    write(database, "binance", "BTCUSDT", "85439.99000000", open_24h="87304.35")
    write(database, "kucoin", "BTC-USDT", "110")
    write(database, "kucoin", "KCS-BTC", "0.00012", received_at=datetime.now(UTC))
    # The exchange does not list this symbol, so its base and quote are unknown.
    write(database, "kucoin", "NEW-USDT", "1")
    accept_any_time(owner, "candles_1m")
    start = start_of_last_day()
    candles = [
        ("kucoin", "BTC-USDT", start + 50 * MINUTE, 160, 170, 150, 160, 3, 4, 2),
        ("kucoin", "BTC-USDT", start + 10 * MINUTE, 100, 102, 90, 101, 1, 2, 2),
        ("kucoin", "BTC-USDT", start - MINUTE, 50, 50, 50, 50, 0, 0, 1),
        ("kucoin", "BTC-USDT", start + HOUR, 70, 70, 70, 70, 5, 5, 1),
        ("binance", "BTCUSDT", start, 1, 1, 1, 1, 1, 1, 1),
    ]
    insert(owner, "INSERT INTO candles_1m VALUES %s", candles)

    assert rows(reader, FIGURES + " ORDER BY pair") == [
        (
            *("BTC/USDT", "BTC", "USDT"),
            *("BTCUSDT", Decimal("85439.99"), Decimal("-2.14"), 10),
            *("BTC-USDT", Decimal("110"), Decimal("10.00"), 10),
        ),
        (
            *("KCS/BTC", "KCS", "BTC"),
            *(None, None, None, None),
            *("KCS-BTC", Decimal("0.00012"), None, 0),
        ),
    ]
    assert (
        str(rows(reader, "SELECT binance_price FROM pairs WHERE base = 'BTC'")[0][0]) == "85439.99"
    )


def test_a_pair_that_an_exchange_lists_twice_is_the_symbol_that_trades(
    database: Settings, owner: connection, reader: connection
) -> None:
    list_instruments(
        owner,
        ("kucoin", "BCHSV-USDT", "BSV", "USDT", "TRADING"),
        ("kucoin", "BSV-USDT", "BSV", "USDT", "DELISTED"),
        ("kucoin", "OLD-USDT", "LUNA", "USDT", "HALT"),
        ("kucoin", "NEW-USDT", "LUNA", "USDT", "HALT"),
    )
    write(database, "kucoin", "BCHSV-USDT", "30")
    write(database, "kucoin", "BSV-USDT", "31", received_at=datetime.now(UTC))
    write(database, "kucoin", "OLD-USDT", "2")
    write(database, "kucoin", "NEW-USDT", "3", received_at=datetime.now(UTC))

    assert rows(reader, "SELECT pair, kucoin_symbol, kucoin_price FROM pairs ORDER BY 1") == [
        ("BSV/USDT", "BCHSV-USDT", 30),
        ("LUNA/USDT", "NEW-USDT", 3),
    ]


def test_the_change_is_that_of_the_last_day_also_in_an_interruption(
    database: Settings, owner: connection, reader: connection
) -> None:
    list_instruments(owner, ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"))
    accept_any_time(owner, "candles_1m", "exchange_candles_1h")
    start = start_of_last_day()
    ours = ("kucoin", "BTC-USDT", start + 10 * MINUTE, 100, 100, 100, 100, 1, 2, 2)
    insert(owner, "INSERT INTO candles_1m VALUES %s", [ours])
    # The exchange was asked for its candle of an hour in which the feed was interrupted.
    theirs = ("kucoin", "BTC-USDT", "1h", start, 80, 110, 80, 105, 1, 1, None, start + HOUR)
    insert(owner, "INSERT INTO exchange_candles VALUES %s", [theirs])
    events = [
        ("connection", start - HOUR, None),
        ("interruption", start + MINUTE, start + 2 * MINUTE),
    ]
    insert(
        owner,
        "INSERT INTO feed_events VALUES %s",
        [("kucoin", None, kind, None, *times, 0) for kind, *times in events],
    )
    row = ticker("kucoin", "BTC-USDT", "100")
    batch_id = write_batch(database.database_url, [row])

    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, batch_id)
        [day] = server.get("/api/last-day").json()["days"]
    assert day["open"] == "80"
    assert rows(reader, "SELECT kucoin_change_24h FROM pairs") == [(25,)]


def test_every_exchange_has_its_columns(reader: connection) -> None:
    columns = rows(
        reader, "SELECT column_name FROM information_schema.columns WHERE table_name = 'pairs'"
    )
    figures = ("symbol", "price", "change_24h", "age")
    assert [name for (name,) in columns] == [
        *("pair", "base", "quote"),
        *(f"{exchange}_{figure}" for exchange in EXCHANGE for figure in figures),
    ]
