"""Serve candles from minutes in a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from tests.support.live_job import (
    accept_any_time,
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.server import ServerProcess
from tests.support.stacks import new_database

DAY = datetime(2025, 3, 28, tzinfo=UTC)
NINE = "2025-03-28T09:00:00Z"


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(autouse=True)
def empty_tables(owner: connection) -> None:
    """Empty the tables before each test. /api/candles reads them for every answer."""
    with owner.cursor() as cursor:
        cursor.execute("TRUNCATE candles_1m, instruments, live_prices")


def write_minutes(
    owner: connection,
    *minutes: tuple[datetime, str, str, str, str],
    exchange: str = "binance",
    symbol: str = "BTCUSDT",
) -> None:
    """Insert minutes of any day: start, open, high, low, close."""
    values = [(exchange, symbol, *each, 1, 2, 3) for each in minutes]
    accept_any_time(owner, "candles_1m")
    insert(owner, "INSERT INTO candles_1m VALUES %s", values)


def receive_price(database: Settings, server: ServerProcess, received_at: datetime) -> None:
    """Write a price of another symbol of Binance, and wait until the server has read it."""
    price = ticker("binance", "ETHUSDT", "1", received_at=received_at)
    wait_for_batch(server, write_batch(database.database_url, [price]))


def at(hour: int, minute: int) -> datetime:
    return DAY + timedelta(hours=hour, minutes=minute)


def starts(server: ServerProcess, **span: str) -> list[str]:
    answer = server.get("/api/candles/binance/BTCUSDT", **span)
    assert answer.status_code == 200, answer.text
    return [candle["start"][11:16] for candle in answer.json()["candles"]]


def test_a_minute_is_returned_with_every_digit(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    digits = ("85439.990", "99999999999999999999.999999999999999999", "0.00000001", "120")
    write_minutes(owner, (at(9, 0), *digits))
    receive_price(database, server, DAY + timedelta(days=1))

    answer = server.get("/api/candles/binance/BTCUSDT", **{"from": NINE}).json()

    assert answer == {
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "interval": "1m",
        "candles": [
            {
                "start": "2025-03-28T09:00:00.000000Z",
                "open": "85439.99",
                "high": "99999999999999999999.999999999999999999",
                "low": "0.00000001",
                "close": "120",
                "updates": 3,
                "source": "updates",
                "base_volume": None,
                "quote_volume": None,
                "trades": None,
                "closed": True,
            }
        ],
        "next": None,
    }


@pytest.mark.parametrize(
    ("interval", "start"),
    [
        ("5m", "09:10"),
        ("15m", "09:00"),
        ("1h", "09:00"),
        ("4h", "08:00"),
        ("1d", "00:00"),
        ("30m", "09:00"),
        ("90m", "09:00"),
    ],
)
def test_larger_candles_are_made_of_minutes(
    database: Settings, owner: connection, server: ServerProcess, interval: str, start: str
) -> None:
    write_minutes(
        owner,
        (at(9, 10), "1.10", "3", "1", "2"),
        (at(9, 11), "2", "5.5", "2", "4"),
        (at(9, 14), "4", "4", "0.5", "0.75"),
    )
    receive_price(database, server, DAY + timedelta(days=1))

    answer = server.get(
        "/api/candles/binance/BTCUSDT", **{"interval": interval, "from": "2025-03-28"}
    ).json()

    assert answer["interval"] == interval
    assert answer["candles"] == [
        {
            "start": f"2025-03-28T{start}:00.000000Z",
            "open": "1.1",
            "high": "5.5",
            "low": "0.5",
            "close": "0.75",
            "updates": 9,
            "source": "updates",
            "base_volume": None,
            "quote_volume": None,
            "trades": None,
            "closed": True,
        }
    ]


def test_a_span_has_its_start_and_not_its_end(owner: connection, server: ServerProcess) -> None:
    write_minutes(owner, *((at(9, minute), "1", "1", "1", "1") for minute in range(20)))

    def listed(start: str, end: str, interval: str = "1m") -> list[str]:
        return starts(server, **{"from": start, "to": end, "interval": interval})

    assert listed(NINE, "2025-03-28T09:02:00Z") == ["09:00", "09:01"]
    assert listed("2025-03-28T09:00:01Z", "2025-03-28T09:02:01Z") == ["09:01", "09:02"]
    assert listed("2025-03-28T11:00:00+02:00", "2025-03-28T11:01:00+02:00") == ["09:00"]
    assert listed("2025-03-28T09:01:00Z", "2025-03-28T09:15:00Z", "5m") == ["09:05", "09:10"]


def test_a_limit_keeps_the_oldest_candles_with_from_and_the_newest_without_it(
    owner: connection, server: ServerProcess
) -> None:
    write_minutes(owner, *((at(9, minute), "1", "1", "1", "1") for minute in range(20)))

    assert starts(server, **{"from": NINE, "limit": "2"}) == ["09:00", "09:01"]
    assert starts(server, **{"from": NINE, "limit": "2", "interval": "5m"}) == ["09:00", "09:05"]
    assert starts(server, to="2025-03-28T09:20:00Z", limit="2") == ["09:18", "09:19"]


def test_weeks_start_on_monday(owner: connection, server: ServerProcess) -> None:
    monday = datetime(2025, 3, 24, tzinfo=UTC)
    times = (monday - timedelta(minutes=1), monday, monday + timedelta(days=6, hours=23))
    write_minutes(owner, *((time, "1", "1", "1", "1") for time in times))

    answer = server.get(
        "/api/candles/binance/BTCUSDT", **{"interval": "1w", "from": "2025-03-01"}
    ).json()

    candles = [(each["start"][:10], each["updates"]) for each in answer["candles"]]
    assert candles == [("2025-03-17", 3), ("2025-03-24", 6)]


def test_a_page_names_the_next_one(owner: connection, server: ServerProcess) -> None:
    write_minutes(owner, *((at(9, minute), "1", "1", "1", "1") for minute in range(5)))
    span = {"from": NINE, "to": "2025-03-28T09:05:00Z", "limit": "2"}
    pages = []
    while span["from"]:
        answer = server.get("/api/candles/binance/BTCUSDT", **span).json()
        pages.append([candle["start"][14:16] for candle in answer["candles"]])
        span["from"] = answer["next"]

    assert pages == [["00", "01"], ["02", "03"], ["04"]]


def test_a_candle_is_closed_when_a_later_price_of_its_exchange_arrived(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = (this_minute - timedelta(minutes=1), this_minute)
    write_minutes(owner, *((minute, "1", "1", "1", "1") for minute in minutes))

    def closed() -> list[bool]:
        answer = server.get("/api/candles/binance/BTCUSDT", limit="3").json()
        return [candle["closed"] for candle in answer["candles"]]

    receive_price(database, server, this_minute - timedelta(seconds=1))
    assert closed() == [False, False]
    receive_price(database, server, this_minute)
    assert closed() == [True, False]


def test_an_answer_that_has_not_changed_is_not_sent_again(
    owner: connection, server: ServerProcess
) -> None:
    write_minutes(owner, (at(9, 0), "1", "1", "1", "1"))
    path, span = "/api/candles/binance/BTCUSDT", {"from": NINE, "limit": "2"}
    tag = {"If-None-Match": server.get(path, **span).headers["etag"]}

    assert server.get(path, tag, **span).status_code == 304
    write_minutes(owner, (at(9, 1), "1", "1", "1", "1"))
    assert server.get(path, tag, **span).status_code == 200


def test_without_a_span_the_running_minute_is_the_last(
    owner: connection, server: ServerProcess
) -> None:
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    write_minutes(owner, (this_minute, "1", "1", "1", "1"))

    assert starts(server) == [f"{this_minute:%H:%M}"]


def test_a_candle_can_be_asked_for_in_any_script(owner: connection, server: ServerProcess) -> None:
    write_minutes(owner, (at(9, 0), "1", "1", "1", "1"), symbol="币安人生USDT")

    answer = server.get("/api/candles/binance/币安人生USDT", **{"from": NINE}).json()

    assert answer["symbol"] == "币安人生USDT"
    assert [candle["close"] for candle in answer["candles"]] == ["1"]


def test_a_symbol_that_nothing_is_known_of_is_not_found(
    database: Settings, server: ServerProcess
) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])

    assert starts(server) == []
    answer = server.get("/api/candles/kucoin/BTCUSDT")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "symbol='BTCUSDT': unknown on kucoin"


def test_a_symbol_that_is_only_listed_has_no_candles_yet(
    owner: connection, server: ServerProcess
) -> None:
    list_instruments(owner, ("binance", "BTCUSDT", "BTC", "USDT", "HALT"))

    assert starts(server) == []


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("binance/BTCUSDT?interval=7m", "interval", "7m"),
        # The width of 1w, but not its name.
        ("binance/BTCUSDT?interval=7d", "interval", "7d"),
        ("binance/BTCUSDT?from=yesterday", "from", "yesterday"),
        ("binance/BTCUSDT?to=2025", "to", "2025"),
        ("binance/BTCUSDT?from=2025-03-28&to=2025-03-27", "to", "2025-03-27"),
        ("binance/BTCUSDT?limit=1001", "limit", "1001"),
        ("binance/BTCUSDT?form=2025-03-28", "form", "2025-03-28"),
        ("kraken/BTCUSDT", "exchange", "kraken"),
        ("binance/BTC%00", "symbol", "BTC\x00"),
    ],
)
def test_a_bad_parameter_is_named(
    server: ServerProcess, path: str, parameter: str, value: str
) -> None:
    answer = server.get(f"/api/candles/{path}")

    assert answer.status_code == 422
    assert [(e["parameter"], e["value"]) for e in answer.json()["errors"]] == [(parameter, value)]
