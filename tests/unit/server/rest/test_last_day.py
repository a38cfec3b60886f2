import json
from datetime import UTC, datetime, timedelta

from server.rest.feed_times import Span
from server.rest.last_day import day_text, last_day, received_until

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
DAY = Span(datetime(2025, 3, 27, 12, tzinfo=UTC), NOON)
SECOND = timedelta(seconds=1)


def test_the_last_day_ends_with_the_last_full_hour() -> None:
    assert last_day(NOON) == last_day(NOON.replace(minute=59, second=59)) == DAY


def test_prices_received_a_minute_after_the_last_full_hour_change_nothing() -> None:
    assert received_until(NOON + 59 * SECOND, DAY) == NOON + 59 * SECOND
    assert received_until(NOON + 61 * SECOND, DAY) == NOON + 60 * SECOND
    assert received_until(None, DAY) is None


def test_closes_are_placed_by_their_hours() -> None:
    row = ("kucoin", "BTC-USDT", None, "4", "2", None, None, [23, 1], ["3", "2.5"])

    assert json.loads(day_text(row)) == {
        "exchange": "kucoin",
        "symbol": "BTC-USDT",
        "open": None,
        "high": "4",
        "low": "2",
        "base_volume": None,
        "quote_volume": None,
        "closes": [None, "2.5", *[None] * 21, "3"],
    }


def test_without_candles_all_closes_are_null() -> None:
    row = ("kucoin", "BTC-USDT", None, None, None, None, None, None, None)

    assert json.loads(day_text(row))["closes"] == [None] * 24
