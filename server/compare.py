"""The same base and quote on both exchanges, side by side."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from server.fields import Amount, Name
from server.live_prices import LivePrices
from server.prices import Price
from server.provenance import is_simulated
from server.query_connection import QueryConnection

STALE_AFTER = timedelta(seconds=60)
"""A price is stale when it is older. KuCoin's counts from its last trade, Binance's from its
arrival: Binance does not say when the trade was, but sends a ticker only when it changed."""

PROBABLY_TWO_COINS = Decimal("0.2")
"""Prices of one coin that are further apart would be traded away at once."""

TRADING = "TRADING"

# Prices have 38 digits; a quotient of two, in basis points, has at most 42 before its point.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
BASIS_POINTS = 10_000
SHOWN = Decimal("0.01")

PAIRS = """
SELECT b.base, b.quote, b.symbol, b.status, k.symbol, k.status
FROM instruments AS b JOIN instruments AS k USING (base, quote)
WHERE b.exchange = 'binance' AND k.exchange = 'kucoin' AND b.quote = %(quote)s
ORDER BY b.base, b.symbol, k.symbol
"""


class Pair(NamedTuple):
    """A row of PAIRS."""

    base: str
    quote: str
    binance_symbol: str
    binance_status: str
    kucoin_symbol: str
    kucoin_status: str


class CompareFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quote: Name = "USDT"
    include: Annotated[
        Literal["stale", "halted", "stale,halted", "halted,stale"] | None,
        Field(
            description="What is left out otherwise: pairs with a price older than"
            f" {STALE_AFTER.total_seconds():.0f} s, or with a symbol that is not {TRADING}"
        ),
    ] = None


class Side(BaseModel):
    symbol: str
    status: str
    price: Amount
    simulated: bool
    age_seconds: Annotated[
        float,
        Field(description="Since the last trade where the exchange tells it, else since arrival"),
    ]
    stale: Annotated[
        bool, Field(description=f"Older than {STALE_AFTER.total_seconds():.0f} seconds")
    ]


class Comparison(BaseModel):
    base: str
    quote: str
    binance: Side
    kucoin: Side
    difference_bp: Annotated[
        Amount,
        Field(description="(kucoin - binance) / binance in basis points, rounded to hundredths"),
    ]
    probably_two_coins: Annotated[
        bool, Field(description="More than 20 % apart: perhaps two coins of one name")
    ]


class Comparisons(BaseModel):
    id: Annotated[str, Field(description="The state that the prices are as of")]
    pairs: Annotated[list[Comparison], Field(description="Those with a price on both exchanges")]


async def compare(
    queries: QueryConnection, prices: LivePrices, which: CompareFilter
) -> Comparisons:
    rows = await queries.rows(PAIRS, {"quote": which.quote})
    included = (which.include or "").split(",")
    pairs = comparisons(map(Pair._make, rows), prices, datetime.now(UTC))
    return Comparisons(
        id=prices.name(prices.id),
        pairs=[
            pair
            for pair in pairs
            if ("stale" in included or not (pair.binance.stale or pair.kucoin.stale))
            and ("halted" in included or pair.binance.status == pair.kucoin.status == TRADING)
        ],
    )


def comparisons(pairs: Iterable[Pair], prices: LivePrices, now: datetime) -> Iterable[Comparison]:
    """Those of the pairs that have a price on both exchanges."""
    for pair in pairs:
        binance = prices.get("binance", pair.binance_symbol)
        kucoin = prices.get("kucoin", pair.kucoin_symbol)
        if binance is None or kucoin is None or not binance.price:
            continue
        yield Comparison(
            base=pair.base,
            quote=pair.quote,
            binance=side(binance, pair.binance_status, now),
            kucoin=side(kucoin, pair.kucoin_status, now),
            difference_bp=difference_bp(binance.price, kucoin.price),
            probably_two_coins=are_probably_two_coins(binance.price, kucoin.price),
        )


def side(price: Price, status: str, now: datetime) -> Side:
    age = now - (price.traded_at or price.received_at)
    return Side(
        symbol=price.symbol,
        status=status,
        price=price.price,
        simulated=is_simulated(price.endpoint),
        age_seconds=round(age.total_seconds(), 3),
        stale=age > STALE_AFTER,
    )


def difference_bp(binance: Decimal, kucoin: Decimal) -> Decimal:
    """(kucoin - binance) / binance in basis points; hundredths, a tie to the even one."""
    with localcontext(EXACT):
        # Plus 0: no minus before a zero.
        return (BASIS_POINTS * (kucoin - binance) / binance).quantize(SHOWN) + 0


def are_probably_two_coins(binance: Decimal, kucoin: Decimal) -> bool:
    with localcontext(EXACT):
        return abs(kucoin - binance) > PROBABLY_TWO_COINS * binance
