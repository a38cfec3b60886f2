"""The symbols that the exchanges list, read from `data/`, busiest first."""

import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data"

# How many symbols usually trade on Binance.
BINANCE_SYMBOLS = 1440
# The quotes that trade there. The list of symbols has every symbol there ever was and does not
# say which of them still trade, so their order also decides whose pairs make up the usual 1,440.
BINANCE_QUOTES = (
    *("USDT", "USDC", "BTC", "U", "EUR", "IDR", "JPY", "BRL", "USD1", "ETH"),
    *("ARS", "MXN", "ZAR", "PLN", "RON", "EURI", "FDUSD", "TRY", "BNB"),
)
# A coin that was ever listed against one of these, all of them young, most likely still trades.
YOUNG_QUOTES = {"USDC", "FDUSD", "EURI", "USD1", "U"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A symbol, and the steps that its prices (in quote) and sizes (in base) are multiples of."""

    symbol: str
    base: str
    quote: str
    price_increment: Decimal
    size_increment: Decimal


def binance_listing() -> list[Pair]:
    """Every symbol that Binance ever listed, in the order of the file."""
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
    """The `count` busiest of those that may be taken to trade. More symbols include the fewer.

    Raise ValueError when there are fewer.
    """
    alive = {pair.base for pair in listing if pair.quote in YOUNG_QUOTES}.union(BINANCE_QUOTES)
    trading = [pair for pair in listing if pair.base in alive and pair.quote in BINANCE_QUOTES]
    if not 0 < count <= len(trading):
        raise ValueError(f"{count} Binance symbols: expected 1 to {len(trading)}")
    return busiest_first(trading, BINANCE_QUOTES)[:count]


def kucoin_listing() -> list[dict[str, Any]]:
    """The symbols as KuCoin's REST answer has them."""
    answer = json.loads((DATA / "kucoin/symbols.json").read_text(encoding="utf-8"))
    listing: list[dict[str, Any]] = answer["data"]
    return listing


def kucoin_trading(listing: Sequence[dict[str, Any]]) -> list[Pair]:
    """All of them as pairs. Base and quote are what the answer says: BCHSV-USDT is BSV/USDT."""
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
    """By quote, in the order given; within a quote the coins with the most pairs first."""
    listings = Counter(pair.base for pair in pairs)
    return sorted(pairs, key=lambda p: (quotes.index(p.quote), -listings[p.base], p.symbol))
