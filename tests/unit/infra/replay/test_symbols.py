"""Test which symbols the replay exchange trades."""

import pytest

from infra.replay.market.symbols import (
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)

BINANCE = {pair.symbol: pair for pair in binance_trading(binance_listing(), 1440)}
KUCOIN = {pair.symbol: pair for pair in kucoin_trading(kucoin_listing())}


def test_1440_binance_symbols_trade_and_the_awkward_ones_are_among_them() -> None:
    assert len(BINANCE) == 1440
    expected = {
        "BTCUSDT": ("BTC", "USDT"),
        "ETHUSDT": ("ETH", "USDT"),
        "BNBBTC": ("BNB", "BTC"),
        "ADAEUR": ("ADA", "EUR"),
        "GALAEUR": ("GALA", "EUR"),
        "ARBIDR": ("ARB", "IDR"),
        "BNBIDR": ("BNB", "IDR"),
        "BTCU": ("BTC", "U"),
        "币安人生USDT": ("币安人生", "USDT"),
    }
    assert {s: (BINANCE[s].base, BINANCE[s].quote) for s in expected} == expected


def test_every_pair_with_the_one_letter_quote_trades() -> None:
    listed = {pair.symbol for pair in binance_listing() if pair.quote == "U"}
    assert len(listed) == 47
    assert listed <= BINANCE.keys()


def test_fewer_binance_symbols_are_the_first_of_more() -> None:
    listing = binance_listing()
    assert binance_trading(listing, 20) == binance_trading(listing, 1440)[:20]


@pytest.mark.parametrize("count", [0, 3651])
def test_a_count_that_can_not_be_had_is_refused_by_its_value(count: int) -> None:
    with pytest.raises(ValueError, match=f"^{count} Binance symbols: expected 1 to "):
        binance_trading(binance_listing(), count)


def test_all_kucoin_symbols_trade_under_the_names_of_the_list() -> None:
    assert KUCOIN.keys() == {listed["symbol"] for listed in kucoin_listing()}
    assert len(KUCOIN) == 634


def test_base_and_quote_of_a_kucoin_symbol_are_not_split_from_its_text() -> None:
    assert (KUCOIN["BCHSV-USDT"].base, KUCOIN["BCHSV-USDT"].quote) == ("BSV", "USDT")
    renamed = [s for s, pair in KUCOIN.items() if s != f"{pair.base}-{pair.quote}"]
    assert len(renamed) == 15
