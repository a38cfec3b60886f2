"""Read the exchanges' symbol lists from `data/`. Return the symbols to simulate, busiest first."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"

BINANCE_SYMBOLS = 1440
"""Number of symbols that usually trade on Binance."""
# Quotes that trade on Binance. The symbol list has every symbol that ever existed and does not say
# which still trade, so the order of quotes also decides which pairs are among the usual 1,440.
BINANCE_QUOTES = (
    *("USDT", "USDC", "BTC", "U", "EUR", "IDR", "JPY", "BRL", "USD1", "ETH"),
    *("ARS", "MXN", "ZAR", "PLN", "RON", "EURI", "FDUSD", "TRY", "BNB"),
)
YOUNG_QUOTES = {"USDC", "FDUSD", "EURI", "USD1", "U"}
"""Recently listed quotes. A coin that was ever listed against one of them most likely still trades."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A symbol. Its prices (in quote) and sizes (in base) are multiples of the increments."""

    symbol: str
    base: str
    quote: str
    price_increment: Decimal
    size_increment: Decimal


def binance_listing() -> list[Pair]:
    """Return every symbol that Binance ever listed, in the order of the file."""
    with (DATA / "binance/symbols.csv").open(encoding="utf-8", newline="") as file:
        return [
            Pair(
                row["symbol"],
                row["symbol"].removesuffix(row["quote_currency"]),
                row["quote_currency"],
                Decimal(row["minimum_price_variation"]),
                Decimal(row["lot_size"]),
            )
            for row in csv.DictReader(file)
        ]


def binance_trading(listing: Sequence[Pair], count: int) -> list[Pair]:
    """Return the `count` busiest symbols that presumably trade. A larger count extends a smaller one.

    Raise ValueError if there are fewer.
    """
    bases = {pair.base for pair in listing if pair.quote in YOUNG_QUOTES}.union(BINANCE_QUOTES)
    trading = [pair for pair in listing if pair.base in bases and pair.quote in BINANCE_QUOTES]
    if not 0 < count <= len(trading):
        raise ValueError(f"{count} Binance symbols: expected 1 to {len(trading)}")
    return busiest_first(trading, BINANCE_QUOTES)[:count]


def kucoin_listing() -> list[dict[str, Any]]:
    """Return the symbols as in KuCoin's REST answer."""
    answer = json.loads((DATA / "kucoin/symbols.json").read_text(encoding="utf-8"))
    listing: list[dict[str, Any]] = answer["data"]
    return listing


def kucoin_trading(listing: Sequence[dict[str, Any]]) -> list[Pair]:
    """Return all symbols as pairs, busiest first, also one whose `enableTrading` is false.

    Base and quote are fields of the answer: BCHSV-USDT is BSV/USDT.
    """
    pairs = [
        Pair(
            listed["symbol"],
            listed["baseCurrency"],
            listed["quoteCurrency"],
            Decimal(listed["priceIncrement"]),
            Decimal(listed["baseIncrement"]),
        )
        for listed in listing
    ]
    quotes = Counter(pair.quote for pair in pairs)
    return busiest_first(pairs, [quote for quote, _ in quotes.most_common()])


def busiest_first(pairs: Sequence[Pair], quotes: Sequence[str]) -> list[Pair]:
    """Sort pairs by quote, in the order of `quotes`; within a quote, the most popular coins first.

    The more pairs Binance and the exchange list for a coin, the more popular it is.
    """
    listings = Counter(pair.base for pair in [*pairs, *binance_listing()])
    return sorted(pairs, key=lambda p: (quotes.index(p.quote), -listings[p.base], p.symbol))
