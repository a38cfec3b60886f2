"""Test symbol lists with invalid entries."""

from typing import Any

import pytest

from exchanges.exchange import ExchangeError, Instrument
from extractors.receive.symbol_list import SymbolList, SymbolReader


def read(entry: Any) -> Instrument:
    return Instrument("binance", entry["symbol"], entry["base"], "USDT", "TRADING")


def entry(symbol: object, base: object = "BTC") -> dict[str, object]:
    return {"symbol": symbol, "base": base}


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records]


GOOD = [Instrument("binance", name, "BTC", "USDT", "TRADING") for name in ("AUSDT", "币USDT")]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        "AUSDT",
        [],
        {},
        entry("NEWUSDT", None),
        entry("NEWUSDT", ""),
        entry("NEWUSDT", 5),
        entry("NEWUSDT", ["BTC"]),
        entry("NEWUSDT", "a\x00b"),
        entry("NEWUSDT", "\ud800"),
        entry(None),
        entry(5),
        entry(""),
        {"symbol": "NEWUSDT"},
    ],
    ids=repr,
)
def test_odd_entry_costs_none_of_its_neighbours_and_is_named_once(
    odd: object, caplog: pytest.LogCaptureFixture
) -> None:
    reader = SymbolReader(read, "symbol")
    for _ in range(3):
        listed = reader.read_list([entry("AUSDT"), odd, entry("币USDT")])
        assert listed.instruments == GOOD
    [line] = logged(caplog)
    assert line.startswith("symbol skipped entry=")


def test_symbol_of_an_odd_entry_is_listed_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    entries = [entry("AUSDT"), entry("NEWUSDT", None), entry("币USDT"), None]
    listed = SymbolReader(read, "symbol").read_list(entries)
    assert listed == SymbolList(GOOD, frozenset(["NEWUSDT"]))
    assert logged(caplog) == [
        "symbol skipped entry='NEWUSDT' reason=\"TypeError('base is NoneType, not text')\"",
        "symbol skipped entry='null'"
        " reason='TypeError(\"\\'NoneType\\' object is not subscriptable\")'",
    ]


def test_the_exchange_names_the_key_of_the_symbol() -> None:
    odd = {"id": "NEW/USD", "symbol": "other", "base": None}
    listed = SymbolReader(read, "id").read_list([entry("AUSDT"), odd])
    assert listed.unread == frozenset(["NEW/USD"])


def test_long_entry_is_named_by_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    SymbolReader(read, "symbol").read_list([entry("AUSDT"), entry("X" * 10_000, None)])
    [line] = logged(caplog)
    assert len(line) < 500


@pytest.mark.parametrize("entries", [None, {}, "text", 7])
def test_what_is_no_list_is_an_error(entries: object) -> None:
    with pytest.raises(ExchangeError, match=r"^unreadable: symbol list: \w+, not a list$"):
        SymbolReader(read, "symbol").read_list(entries)


def test_list_without_a_readable_entry_is_one_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ExchangeError) as error:
        SymbolReader(read, "symbol").read_list([entry("AUSDT", None)] * 1000)
    assert str(error.value) == (
        "unreadable: symbol list: no symbols: AUSDT: TypeError('base is NoneType, not text')"
    )
    with pytest.raises(ExchangeError, match=r"^unreadable: symbol list: no symbols$"):
        SymbolReader(read, "symbol").read_list([])
    assert logged(caplog) == []
