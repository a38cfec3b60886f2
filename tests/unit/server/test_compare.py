from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from server.compare import (
    STALE_AFTER,
    Comparison,
    Pair,
    are_probably_two_coins,
    comparisons,
    difference_bp,
    side,
)
from server.live_prices import LivePrices, Reading
from server.prices import Price, plain
from tests.support.live_job import price

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
BTC = Pair("BTC", "USDT", "BTCUSDT", "TRADING", "BTC-USDT", "TRADING")
BSV = Pair("BSV", "USDT", "BSVUSDT", "TRADING", "BCHSV-USDT", "HALT")


@pytest.mark.parametrize(
    ("binance", "kucoin", "basis_points"),
    [
        ("100", "101", "100"),
        ("100", "99", "-100"),
        ("85439.99", "85440", "0"),
        ("85440", "85439.99", "0"),
        ("85439.99", "85439.99", "0"),
        ("3", "4", "3333.33"),
        # In floats 0.29 * 10000 is 2899.9999999999995.
        ("1", "1.29", "2900"),
        # A tie goes to the even hundredth; any digit more decides otherwise.
        ("1", "1.0000005", "0"),
        ("1", "1.0000015", "0.02"),
        ("1", "1.000000500000000001", "0.01"),
        ("0.000000000000000001", "0.000000000000000003", "20000"),
        (
            "0.000000000000000001",
            "99999999999999999999",
            "999999999999999999989999999999999999990000",
        ),
    ],
)
def test_the_difference_is_exact(binance: str, kucoin: str, basis_points: str) -> None:
    assert plain(difference_bp(Decimal(binance), Decimal(kucoin))) == basis_points


@pytest.mark.parametrize(
    ("binance", "kucoin", "expected"),
    [
        ("10", "12", False),
        ("10", "12.000000000000000001", True),
        ("10", "8", False),
        ("10", "7.999999999999999999", True),
        ("12345678901234567890.1", "14814814681481481468.12", False),
        ("12345678901234567890.1", "14814814681481481468.120000000000000001", True),
    ],
)
def test_more_than_a_fifth_apart_are_probably_two_coins(
    binance: str, kucoin: str, expected: bool
) -> None:
    assert are_probably_two_coins(Decimal(binance), Decimal(kucoin)) is expected


def test_a_price_is_as_old_as_its_last_trade_if_the_exchange_tells_it() -> None:
    told = price("kucoin", "BTC-USDT", "1", traded_at=NOON - timedelta(minutes=20))
    silent = price("binance", "BTCUSDT", "1", received_at=NOON - timedelta(milliseconds=1500))

    old, new = side(told, "TRADING", NOON), side(silent, "TRADING", NOON)

    assert (old.age_seconds, old.stale) == (1200, True)
    assert (new.age_seconds, new.stale) == (1.5, False)


def test_a_price_is_stale_when_it_is_older_than_the_limit() -> None:
    at_the_limit = price("binance", "BTCUSDT", "1", received_at=NOON - STALE_AFTER)
    older = at_the_limit._replace(received_at=NOON - STALE_AFTER - timedelta(microseconds=1))

    assert not side(at_the_limit, "TRADING", NOON).stale
    assert side(older, "TRADING", NOON).stale


def test_symbols_that_differ_meet_by_base_and_quote() -> None:
    prices = [
        price("binance", "BTCUSDT", "100", endpoint="stream.binance.com"),
        price("kucoin", "BTC-USDT", "125"),
        price("binance", "BSVUSDT", "40"),
        price("kucoin", "BCHSV-USDT", "40.04"),
    ]

    bitcoin, other = compared([BTC, BSV], *prices)

    assert (bitcoin.binance.symbol, bitcoin.kucoin.symbol) == ("BTCUSDT", "BTC-USDT")
    assert (bitcoin.binance.simulated, bitcoin.kucoin.simulated) == (False, True)
    assert (plain(bitcoin.difference_bp), bitcoin.probably_two_coins) == ("2500", True)
    assert (other.base, other.kucoin.symbol, other.kucoin.status) == ("BSV", "BCHSV-USDT", "HALT")
    assert (plain(other.difference_bp), other.probably_two_coins) == ("10", False)


def test_a_pair_without_a_price_on_both_sides_is_left_out() -> None:
    kucoin = price("kucoin", "BTC-USDT", "1")

    assert compared([BTC], kucoin) == []
    assert compared([BTC], price("binance", "BTCUSDT", "1")) == []
    assert compared([BTC], price("binance", "BTCUSDT", "0"), kucoin) == []


def compared(pairs: list[Pair], *prices: Price) -> list[Comparison]:
    return list(comparisons(pairs, LivePrices(Reading("e", 1, None, list(prices), {})), NOON))
