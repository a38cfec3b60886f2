"""Test that the most traded pairs come first, whatever currency they are traded in."""

from exchanges.exchange import Instrument, Turnover
from extractors.backfill.ranking import ranked


def instrument(symbol: str, base: str, quote: str, status: str = "TRADING") -> Instrument:
    return Instrument("binance", symbol, base, quote, status)


INSTRUMENTS = [
    instrument("ADABTC", "ADA", "BTC"),
    instrument("BTCUSDT", "BTC", "USDT"),
    instrument("USDTTRY", "USDT", "TRY"),
    instrument("ADATRY", "ADA", "TRY"),
    instrument("NEWUSDT", "NEW", "USDT"),
    instrument("ODDXYZ", "ODD", "XYZ"),
    instrument("OLDUSDT", "OLD", "USDT", "HALT"),
]


def test_volumes_are_compared_in_one_currency() -> None:
    turnovers = {
        "ADABTC": Turnover(0.00001, 2.0),
        "BTCUSDT": Turnover(100_000.0, 1_000_000.0),
        "USDTTRY": Turnover(40.0, 4_000_000.0),
        "ADATRY": Turnover(30.0, 12_000_000.0),
        "ODDXYZ": Turnover(1.0, 1e12),
        "OLDUSDT": Turnover(1.0, 1e12),
    }
    # 1,000,000 USDT, 300,000, 200,000, 100,000, and two that can't be compared.
    assert ranked(INSTRUMENTS, turnovers) == [
        "BTCUSDT",
        "ADATRY",
        "ADABTC",
        "USDTTRY",
        "NEWUSDT",
        "ODDXYZ",
    ]


def test_a_price_of_zero_is_no_price() -> None:
    turnovers = {"USDTTRY": Turnover(0.0, 0.0), "ADATRY": Turnover(30.0, 1.0)}
    assert ranked(INSTRUMENTS, turnovers)[0] == "ADABTC"
