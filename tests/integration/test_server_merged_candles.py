"""Serve candles of ours and of the exchange as one series."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from tests.support.live_job import accept_any_time, insert, list_instruments, ticker, write_batch
from tests.support.server import ServerProcess
from tests.support.stacks import new_database

DAY = datetime(2025, 3, 28, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
WIDTHS = {"1m": timedelta(minutes=1), "1h": timedelta(hours=1), "1d": timedelta(days=1)}


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(autouse=True)
def connected_at_noon(owner: connection) -> None:
    """Empty the tables. The feed was connected from noon to one o'clock."""
    with owner.cursor() as statements:
        statements.execute(
            "TRUNCATE candles_1m, exchange_candles, exchange_candle_spans, instruments, feed_events"
        )
    accept_any_time(owner, "candles_1m", *(f"exchange_candles_{interval}" for interval in WIDTHS))
    list_instruments(owner, ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"))
    event(owner, "connection", NOON, NOON + timedelta(hours=1))


def event(
    owner: connection,
    kind: str,
    start: datetime,
    end: datetime | None,
    reason: str | None = None,
) -> None:
    row = ("binance", None, kind, reason, start, end, 0)
    insert(owner, "INSERT INTO feed_events VALUES %s", [row])


def at(minutes: float) -> datetime:
    """Return a time in minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def ours(owner: connection, *minutes: int) -> None:
    """Insert candles of ours that open at 10 and close at 11."""
    values = [("binance", "BTCUSDT", at(each), 10, 12, 9, 11, 1, 2, 3) for each in minutes]
    insert(owner, "INSERT INTO candles_1m VALUES %s", values)


def theirs(
    owner: connection, *minutes: int, interval: str = "1m", received_after: timedelta | None = None
) -> None:
    """Insert candles of the exchange that open at 20 and close at 21, with volumes of 1 and 2."""
    late = received_after or WIDTHS[interval]
    values = [
        ("binance", "BTCUSDT", interval, at(each), 20, 22, 19, 21, 1, 2, 5, at(each) + late)
        for each in minutes
    ]
    insert(owner, "INSERT INTO exchange_candles VALUES %s", values)


def candles(
    server: ServerProcess, start: datetime, end: datetime, **query: str
) -> list[dict[str, Any]]:
    span = {"from": start.isoformat(), "to": end.isoformat()}
    answer = server.get("/api/candles/binance/BTCUSDT", **span, **query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["candles"]
    return found


def shown(found: Sequence[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return start, source, open and close."""
    return [(each["start"][11:16], each["source"], each["open"], each["close"]) for each in found]


def test_minutes_of_an_interruption_are_the_exchanges_and_all_others_are_ours(
    owner: connection, server: ServerProcess
) -> None:
    ours(owner, 1, 2, 4, 5)
    theirs(owner, 1, 2, 3, 4)
    event(owner, "interruption", at(2.5), at(4.2))

    found = candles(server, at(0), at(10))

    assert shown(found) == [
        ("12:01", "updates", "10", "11"),
        ("12:02", "exchange", "20", "21"),
        ("12:03", "exchange", "20", "21"),
        ("12:04", "exchange", "20", "21"),
        ("12:05", "updates", "10", "11"),
    ]
    names = ("updates", "base_volume", "quote_volume", "trades")
    assert [found[0][name] for name in names] == [3, None, None, None]
    assert [found[1][name] for name in names] == [0, "1", "2", 5]


def test_an_interruption_whose_end_was_not_reported_lasts_until_the_next_one(
    owner: connection, server: ServerProcess
) -> None:
    ours(owner, 1, 2)
    theirs(owner, 1, 2)
    event(owner, "interruption", at(-20), None)
    event(owner, "interruption", at(-10), at(-5))

    assert [each["source"] for each in candles(server, at(0), at(10))] == ["updates"] * 2


def test_a_connection_lasts_beside_the_successor_of_a_rotation(
    owner: connection, server: ServerProcess
) -> None:
    event(owner, "connection", at(60), None)
    event(owner, "connection", at(64.5), at(64.6))
    ours(owner, *range(61, 70))
    theirs(owner, *range(61, 70))

    assert [each["source"] for each in candles(server, at(61), at(70))] == ["updates"] * 9


@pytest.mark.parametrize("reason", ["start", "start; refused: HTTP 429"])
def test_an_outage_after_a_kill_is_filled_up_to_the_minute_of_the_restart(
    database: Settings, owner: connection, server: ServerProcess, reason: str
) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    event(owner, "connection", at(120), None)
    event(owner, "interruption", at(130.4), at(130.6), reason)
    event(owner, "connection", at(130.5), at(150))
    ours(owner, 121, 130, 131)
    theirs(owner, *range(122, 131))

    assert [each["source"] for each in candles(server, at(121), at(132))] == [
        "updates",
        *["exchange"] * 9,
        "updates",
    ]


def test_a_day_of_the_exchange_has_24_hours_in_any_time_zone(owner: connection) -> None:
    """Berlin's day of 2025-03-30 has 23 hours."""
    spring = datetime(2025, 3, 30, tzinfo=UTC)
    day, minute = timedelta(days=1), timedelta(minutes=1)
    last_hour = [spring + timedelta(hours=23) + n * minute for n in range(60)]
    values = [
        ("binance", "BTCUSDT", "1d", spring, 20, 22, 19, 21, 100, 2, 5, spring + day),
        *(
            ("binance", "BTCUSDT", "1m", start, 20, 22, 19, 21, 1, 2, 5, start + minute)
            for start in last_hour
        ),
        # Requested half an hour before its end.
        ("binance", "ETHUSDT", "1d", spring, 20, 22, 19, 21, 1, 2, 5, spring + day - 30 * minute),
    ]
    insert(owner, "INSERT INTO exchange_candles VALUES %s", values)
    with owner.cursor() as statements:
        statements.execute("SET timezone = 'Europe/Berlin'")
        try:
            statements.execute(
                "SELECT symbol, base_volume::int FROM unnest(ARRAY['BTCUSDT', 'ETHUSDT']) AS symbol,"
                " merged_candles('binance', symbol, '24 hours', %(since)s, %(until)s,"
                " tstzmultirange(tstzrange(%(since)s, %(until)s)), true)",
                {"since": spring, "until": spring + day},
            )
            assert statements.fetchall() == [("BTCUSDT", 100)]
        finally:
            statements.execute("RESET timezone")


def test_without_the_exchanges_minute_an_incomplete_one_of_ours_is_served(
    owner: connection, server: ServerProcess
) -> None:
    ours(owner, 2, 3)
    theirs(owner, 3)
    event(owner, "interruption", at(2.5), at(3.2))

    assert shown(candles(server, at(0), at(10))) == [
        ("12:02", "updates", "10", "11"),
        ("12:03", "exchange", "20", "21"),
    ]


def test_a_candle_that_was_running_is_not_served(owner: connection, server: ServerProcess) -> None:
    theirs(owner, -3)
    theirs(owner, -2, received_after=timedelta(seconds=59))

    assert shown(candles(server, at(-10), at(0))) == [("11:57", "exchange", "20", "21")]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("updates", [("12:01", "updates"), ("12:02", "updates")]),
        ("exchange", [("12:00", "exchange"), ("12:01", "exchange")]),
    ],
)
def test_one_source_can_be_asked_for(
    owner: connection, server: ServerProcess, source: str, expected: list[tuple[str, str]]
) -> None:
    ours(owner, 1, 2)
    theirs(owner, 0, 1)

    found = candles(server, at(0), at(10), source=source)

    assert [row[:2] for row in shown(found)] == expected


def test_larger_candles_are_built_of_both_and_nothing_counts_twice(
    owner: connection, server: ServerProcess
) -> None:
    theirs(owner, *range(-60, 1))
    ours(owner, *range(60))

    [before, after] = candles(server, at(-60), at(60), interval="1h")
    assert [before[name] for name in ("source", "updates", "trades", "base_volume")] == [
        *("exchange", 0, 300, "60")
    ]
    assert [after[name] for name in ("source", "updates", "trades")] == ["updates", 180, None]
    [both] = candles(server, DAY, DAY + timedelta(days=1), interval="1d")
    assert (both["source"], both["updates"], both["base_volume"]) == ("both", 180, None)
    assert [both[name] for name in ("open", "high", "low", "close")] == ["20", "22", "9", "11"]


def test_an_hour_of_the_exchange_replaces_its_minutes_and_a_day_its_hours(
    owner: connection, server: ServerProcess
) -> None:
    theirs(owner, -60, interval="1h")
    theirs(owner, *range(-60, 0))
    [hour] = candles(server, at(-60), at(0), interval="1h")
    assert (hour["trades"], hour["base_volume"]) == (5, "1")
    assert len(candles(server, at(-60), at(0), interval="1m")) == 60
    [half, other] = candles(server, at(-60), at(0), interval="30m")
    assert (half["trades"], other["trades"]) == (150, 150)

    theirs(owner, -720, interval="1d")
    ours(owner, 1)
    [day] = candles(server, DAY, DAY + timedelta(days=1), interval="1d")
    assert (day["trades"], day["updates"], day["source"]) == (5, 0, "exchange")


def test_an_interruption_is_filled_when_all_pairs_were_asked_for(
    owner: connection, server: ServerProcess
) -> None:
    list_instruments(
        owner,
        ("binance", "ETHUSDT", "ETH", "USDT", "TRADING"),
        ("binance", "OLDUSDT", "OLD", "USDT", "HALT"),
    )
    event(owner, "interruption", at(2.5), at(4.2))

    def filled() -> tuple[int, int, bool]:
        feed = next(
            each
            for each in server.get("/api/feeds").json()["feeds"]
            if each["exchange"] == "binance"
        )
        [interruption] = [each for each in feed["events"] if each["kind"] == "interruption"]
        return feed["pairs"], interruption["filled_pairs"], interruption["filled"]

    def asked(symbol: str, start: float, end: float) -> None:
        row = ("binance", symbol, "1m", at(start), at(end), at(end), None)
        insert(owner, "INSERT INTO exchange_candle_spans VALUES %s", [row])

    assert filled() == (2, 0, False)
    asked("BTCUSDT", 2, 5)
    asked("ETHUSDT", 2, 4)
    assert filled() == (2, 1, False)
    asked("ETHUSDT", 4, 5)
    assert filled() == (2, 2, True)
