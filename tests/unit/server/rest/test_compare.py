from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from server.rest.compare import (
    STALE_AFTER,
    Comparison,
    are_probably_two_coins,
    comparisons,
    difference_bp,
    venue,
)
from server.state.prices import Price, plain
from tests.support import live_job

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
LISTED = {
    "BTCUSDT": ("BTC", "TRADING"),
    "BTC-USDT": ("BTC", "TRADING"),
    "BTC2-USDT": ("BTC", "TRADING"),
    "BSVUSDT": ("BSV", "TRADING"),
    "BCHSV-USDT": ("BSV", "HALT"),
}
"""Base and status of each symbol; every quote is USDT."""


def price(exchange: str, symbol: str, amount: str, **columns: Any) -> Price:
    base, status = LISTED[symbol]
    listed = {"base": base, "quote": "USDT", "status": status}
    return live_job.price(exchange, symbol, amount, **listed, **columns)


@pytest.mark.parametrize(
    ("lowest", "highest", "basis_points"),
    [
        ("100", "101", "100"),
        ("85439.99", "85440", "0"),
        ("85439.99", "85439.99", "0"),
        ("3", "4", "3333.33"),
        # In floats (1.29 - 1) * 10000 is 2900.0000000000005.
        ("1", "1.29", "2900"),
        # A tie is rounded to the even hundredth; any further digit breaks the tie.
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
def test_the_difference_is_exact(lowest: str, highest: str, basis_points: str) -> None:
    assert plain(difference_bp(Decimal(lowest), Decimal(highest))) == basis_points


@pytest.mark.parametrize(
    ("lowest", "highest", "expected"),
    [
        ("10", "12", False),
        ("10", "12.000000000000000001", True),
        ("12345678901234567890.1", "14814814681481481468.12", False),
        ("12345678901234567890.1", "14814814681481481468.120000000000000001", True),
    ],
)
def test_more_than_a_fifth_apart_are_probably_two_coins(
    lowest: str, highest: str, expected: bool
) -> None:
    assert are_probably_two_coins(Decimal(lowest), Decimal(highest)) is expected


def test_a_price_is_as_old_as_its_last_trade_if_the_exchange_sends_it() -> None:
    with_trade = price("kucoin", "BTC-USDT", "1", traded_at=NOON - timedelta(minutes=20))
    without_trade = price(
        "binance", "BTCUSDT", "1", received_at=NOON - timedelta(milliseconds=1500)
    )

    old, new = venue(with_trade, NOON), venue(without_trade, NOON)

    assert (old.age_seconds, old.stale) == (1200, True)
    assert (new.age_seconds, new.stale) == (1.5, False)


def test_a_price_is_stale_when_it_is_older_than_the_limit() -> None:
    at_the_limit = price("binance", "BTCUSDT", "1", received_at=NOON - STALE_AFTER)
    older = at_the_limit._replace(received_at=NOON - STALE_AFTER - timedelta(microseconds=1))

    assert not venue(at_the_limit, NOON).stale
    assert venue(older, NOON).stale


def test_different_symbols_are_matched_by_base() -> None:
    prices = [
        price("binance", "BTCUSDT", "100", endpoint="stream.binance.com"),
        price("kucoin", "BTC-USDT", "125"),
        price("binance", "BSVUSDT", "40"),
        price("kucoin", "BCHSV-USDT", "40.04"),
    ]

    other, bitcoin = compared(*prices, halted=True)

    assert [each.symbol for each in bitcoin.venues] == ["BTCUSDT", "BTC-USDT"]
    assert [each.simulated for each in bitcoin.venues] == [False, True]
    assert (plain(bitcoin.difference_bp), bitcoin.probably_two_coins) == ("2500", True)
    assert (other.base, other.venues[1].symbol, other.venues[1].status) == (
        "BSV",
        "BCHSV-USDT",
        "HALT",
    )
    assert (plain(other.difference_bp), other.probably_two_coins) == ("10", False)


def test_any_number_of_venues_is_compared_by_the_lowest_and_the_highest_price() -> None:
    prices = [
        price("kucoin", "BTC2-USDT", "102"),
        price("binance", "BTCUSDT", "101"),
        price("kucoin", "BTC-USDT", "100"),
    ]

    [bitcoin] = compared(*prices)

    assert [each.symbol for each in bitcoin.venues] == ["BTCUSDT", "BTC-USDT", "BTC2-USDT"]
    assert plain(bitcoin.difference_bp) == "200"


def test_a_pair_without_a_price_on_two_exchanges_is_left_out() -> None:
    kucoin = price("kucoin", "BTC-USDT", "1")

    assert compared(kucoin) == []
    assert compared(price("binance", "BTCUSDT", "1")) == []
    assert compared(price("binance", "BTCUSDT", "0"), kucoin) == []
    assert compared(kucoin, price("kucoin", "BTC2-USDT", "1")) == []


def test_a_stale_or_halted_venue_is_left_out_unless_it_is_asked_for() -> None:
    on_binance = price("binance", "BSVUSDT", "40")
    on_kucoin = price("kucoin", "BCHSV-USDT", "40", traded_at=NOON - timedelta(minutes=20))

    assert compared(on_binance, on_kucoin, stale=True) == []
    assert compared(on_binance, on_kucoin, halted=True) == []
    [bsv] = compared(on_binance, on_kucoin, stale=True, halted=True)
    assert [(each.status, each.stale) for each in bsv.venues] == [
        ("TRADING", False),
        ("HALT", True),
    ]


def compared(*prices: Price, stale: bool = False, halted: bool = False) -> list[Comparison]:
    return list(comparisons(prices, NOON, stale=stale, halted=halted))
