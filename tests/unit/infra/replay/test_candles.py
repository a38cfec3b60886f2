"""Test that the candles of the simulated market agree with each other and with its trades."""

from itertools import islice, pairwise
from random import Random

import pytest

from exchanges.exchange import CANDLE_SECONDS
from infra.replay.market.candles import DAY, HOUR, Candle, Candles, Walk
from infra.replay.market.day import HOURS

NOW = 1_764_250_640
"""In the middle of an hour and of a minute."""
PRICE = 10_000


@pytest.fixture
def candles() -> Candles:
    walk = Walk(swing=4e-4, volume=1000.0, usual_size=10.0)
    hours = list(islice(walk.before(PRICE, Random(1)), HOURS))[::-1]
    return Candles(hours, PRICE, walk, Random, NOW)


def joined(candles: list[Candle]) -> tuple[int, ...]:
    traded = [each for each in candles if each.trades]
    return (
        traded[0].open,
        max(each.high for each in traded),
        min(each.low for each in traded),
        traded[-1].close,
        *(sum(each[column] for each in traded) for column in (5, 6, 7)),
    )


@pytest.mark.parametrize(
    ("interval", "span"), [("1m", 6 * HOUR), ("1h", 30 * DAY), ("1d", 365 * DAY)]
)
def test_there_is_a_candle_for_each_step_and_each_opens_where_the_one_before_closed(
    candles: Candles, interval: str, span: int
) -> None:
    found = candles.of(interval, NOW - span, NOW + DAY, NOW)
    width = CANDLE_SECONDS[interval]
    assert [each.start for each in found] == [
        *range(-(-(NOW - span) // width) * width, NOW + 1, width)
    ]
    assert [(a, b) for a, b in pairwise(found) if a.close != b.open] == []
    assert [
        each
        for each in found
        if not 0 < each.low <= min(each.open, each.close) <= max(each.open, each.close) <= each.high
    ] == []
    assert found[-1].close == PRICE


def test_the_minutes_of_an_hour_and_the_hours_of_a_day_are_what_their_candle_says(
    candles: Candles,
) -> None:
    for at, price in ((1, 10_010), (130, 9_990), (HOUR, 9_900)):
        candles.trade(NOW + at, price, 5)
    now = NOW + HOUR
    for wide, narrow, span in (("1h", "1m", DAY), ("1d", "1h", 20 * DAY)):
        for whole in candles.of(wide, now - span, now + 1, now):
            parts = candles.of(narrow, whole.start, whole.start + CANDLE_SECONDS[wide], now)
            assert joined(parts) == whole[1:]


def test_trades_make_the_candle_of_their_minute_and_a_minute_without_any_repeats_the_price(
    candles: Candles,
) -> None:
    minute = NOW // 60 * 60 + 60
    for at, price, size in ((0, 10_010, 5), (30, 10_030, 1), (59, 10_020, 2), (180, 9_000, 1)):
        candles.trade(minute + at, price, size)
    assert candles.of("1m", minute, minute + 240, minute + 200) == [
        Candle(minute, 10_010, 10_030, 10_010, 10_020, 8, 80_120, 3),
        Candle(minute + 60, 10_020, 10_020, 10_020, 10_020, 0, 0, 0),
        Candle(minute + 120, 10_020, 10_020, 10_020, 10_020, 0, 0, 0),
        Candle(minute + 180, 9_000, 9_000, 9_000, 9_000, 1, 9_000, 1),
    ]


@pytest.mark.parametrize("interval", ["1m", "1h"])
def test_a_trade_before_the_start_makes_no_second_candle(candles: Candles, interval: str) -> None:
    candles.trade(NOW // HOUR * HOUR - 1, 10_010, 5)
    starts = [each.start for each in candles.of(interval, NOW - DAY, NOW + 1, NOW)]
    assert starts == sorted(set(starts))


def test_minutes_of_hours_without_a_trade_repeat_the_price(candles: Candles) -> None:
    hour = NOW // HOUR * HOUR
    (last,) = candles.of("1m", NOW // 60 * 60, NOW, NOW)
    price = last.close
    starts = range(hour + 3 * HOUR, hour + 3 * HOUR + 600, 60)
    flat = [Candle(start, price, price, price, price, 0, 0, 0) for start in starts]
    assert candles.of("1m", hour + 3 * HOUR, hour + 3 * HOUR + 600, NOW + 4 * HOUR) == flat
    # The same hour, once the minutes around it are no longer kept.
    for minute in range(122):
        candles.trade(hour + 5 * HOUR + 60 * minute, PRICE, 5)
    found = candles.of("1m", hour + 3 * HOUR, hour + 3 * HOUR + 600, NOW + 8 * HOUR)
    assert found == flat


def test_the_same_request_is_answered_with_the_same_candles(candles: Candles) -> None:
    once = candles.of("1m", NOW - DAY, NOW, NOW)
    assert candles.of("1m", NOW - DAY, NOW, NOW) == once
