from datetime import UTC, datetime

from server.rest.feed_times import Span
from server.rest.last_day import HourCandle, Hours, day_of, hours_of, last_day, sum_of

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
SPAN = last_day(NOON)
STARTS = [int(SPAN.start.timestamp()) + 3600 * number for number in range(24)]
CANDLE = HourCandle("2", "10", "1", "3", None, None)


def test_the_last_day_ends_with_the_last_full_hour() -> None:
    day = Span(datetime(2025, 3, 27, 12, tzinfo=UTC), NOON)

    assert last_day(NOON) == last_day(NOON.replace(minute=59, second=59)) == day


def test_a_day_has_the_first_open_the_extremes_and_a_close_for_each_hour() -> None:
    # As text, "9" is above "10".
    higher = HourCandle("3", "9", "0.5", "4", None, None)
    hours = Hours({STARTS[0]: CANDLE, STARTS[23]: higher}, frozenset())

    assert day_of(hours, SPAN) == {
        "open": "2",
        "high": "10",
        "low": "0.5",
        "base_volume": None,
        "quote_volume": None,
        "closes": ["3", *[None] * 22, "4"],
    }


def test_a_symbol_whose_first_hour_has_no_candle_has_no_open() -> None:
    day = day_of(Hours({STARTS[1]: CANDLE}, frozenset()), SPAN)

    assert (day["open"], day["high"]) == (None, "10")


def test_a_symbol_without_candles_has_no_prices() -> None:
    day = day_of(hours_of(None, None), SPAN)

    assert (day["open"], day["high"], day["low"], day["closes"]) == (None, None, None, [None] * 24)


def test_a_day_has_volumes_if_all_of_it_was_requested_and_an_hour_without_trades_counts_as_zero() -> (
    None
):
    with_volumes = CANDLE._replace(base_volume="1.5", quote_volume="20")
    candles = dict.fromkeys(STARTS[1:], with_volumes)

    def volumes(hours: Hours) -> tuple[str | None, str | None]:
        day = day_of(hours, SPAN)
        return day["base_volume"], day["quote_volume"]

    assert volumes(Hours(candles, frozenset(STARTS))) == ("34.5", "460")
    assert volumes(Hours(candles, frozenset(STARTS[1:]))) == (None, None)
    assert volumes(Hours(candles | {STARTS[0]: CANDLE}, frozenset(STARTS))) == (None, None)


def test_volumes_are_added_exactly() -> None:
    large, small = "99999999999999999999", "0.000000000000000001"

    assert sum_of([large, small]) == "99999999999999999999.000000000000000001"
