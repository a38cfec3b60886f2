"""Test when a symbol that is no longer listed counts as delisted."""

from dataclasses import replace

import pytest

from exchanges.exchange import Instrument
from extractors.receive.delisting import Delisting
from tests.support.clock import Clock

KNOWN = {
    symbol: Instrument("binance", symbol, symbol, "USDT", "TRADING")
    for symbol in (f"C{number:02}" for number in range(20))
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def without(*symbols: str) -> set[str]:
    return KNOWN.keys() - set(symbols)


def test_single_missing_symbol_is_gone_at_once(clock: Clock) -> None:
    assert Delisting(clock).gone(KNOWN, without("C01")) == ({"C01"}, set())


def test_tenth_of_all_symbols_must_be_missing_twice_ten_minutes_apart(clock: Clock) -> None:
    delisting = Delisting(clock)
    lost = {"C01", "C02"}
    assert delisting.gone(KNOWN, without(*lost)) == (set(), lost)
    clock.now += 599.0
    assert delisting.gone(KNOWN, without(*lost)) == (set(), lost)
    clock.now += 1.0
    assert delisting.gone(KNOWN, without(*lost)) == (lost, set())


def test_symbol_that_came_back_in_between_is_not_confirmed(clock: Clock) -> None:
    delisting = Delisting(clock)
    delisting.gone(KNOWN, without("C01", "C02"))
    clock.now += 600.0
    assert delisting.gone(KNOWN, KNOWN.keys()) == (set(), set())
    clock.now += 600.0
    assert delisting.gone(KNOWN, without("C01", "C02")) == (set(), {"C01", "C02"})


def test_second_list_confirms_only_what_the_first_one_lost_too(clock: Clock) -> None:
    delisting = Delisting(clock)
    delisting.gone(KNOWN, without("C01", "C02"))
    clock.now += 600.0
    assert delisting.gone(KNOWN, without("C02", "C03")) == ({"C02"}, {"C03"})


def test_list_that_is_nearly_whole_again_needs_no_confirmation(clock: Clock) -> None:
    delisting = Delisting(clock)
    delisting.gone(KNOWN, without("C01", "C02", "C03"))
    clock.now += 60.0
    assert delisting.gone(KNOWN, without("C03")) == ({"C03"}, set())


def test_symbols_that_are_delisted_already_do_not_count(clock: Clock) -> None:
    delisted = {
        symbol: replace(each, status="DELISTED") if symbol < "C15" else each
        for symbol, each in KNOWN.items()
    }
    listed = {"C15", "C16", "C17", "C18"}
    # One of five is more than a tenth; one of twenty would be less.
    assert Delisting(clock).gone(delisted, listed) == (set(), {"C19"})


def test_nothing_is_gone_while_nothing_is_known(clock: Clock) -> None:
    assert Delisting(clock).gone({}, {"C01"}) == (set(), set())
