"""Compare prices of the same base and quote on several exchanges."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from itertools import groupby
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Amount, Exchange, Name, lowered
from server.state.price_table import PriceTable
from server.state.prices import Price
from server.state.provenance import is_simulated
from server.state.selection import Selection

STALE_AFTER = timedelta(seconds=60)
"""Maximum age of a price that is not stale, from its last trade. For an exchange that sends no trade
time (Binance), the age counts from arrival: it sends a ticker only when it changed."""

PROBABLY_TWO_COINS = Decimal("0.2")
"""Relative difference above which two prices probably belong to two coins: arbitrage would close it."""

TRADING = "TRADING"

# Prices have up to 38 digits; a quotient of two in basis points has up to 42 before the decimal point.
EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
BASIS_POINTS = 10_000
SHOWN = Decimal("0.01")


class CompareFilter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    quote: Annotated[Name, Field(description="As listed by the exchange; case-insensitive")] = (
        "USDT"
    )
    include: Annotated[
        Literal["stale", "halted", "stale,halted", "halted,stale"] | None,
        Field(
            description="Include venues that are left out by default: `stale` with a price older than"
            f" {STALE_AFTER.total_seconds():.0f} s, `halted` with a status other than {TRADING}"
        ),
    ] = None


class Venue(BaseModel):
    exchange: Exchange
    symbol: str
    status: str
    price: Amount
    simulated: bool
    age_seconds: Annotated[
        float,
        Field(
            description="Since the last trade, or since arrival if the exchange sends no trade time"
        ),
    ]
    stale: Annotated[
        bool, Field(description=f"Older than {STALE_AFTER.total_seconds():.0f} seconds")
    ]


class Comparison(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "base": "BTC",
                    "quote": "USDT",
                    "venues": [
                        {
                            "exchange": "binance",
                            "symbol": "BTCUSDT",
                            "status": "TRADING",
                            "price": "85439.99",
                            "simulated": False,
                            "age_seconds": 0.312,
                            "stale": False,
                        },
                        {
                            "exchange": "kucoin",
                            "symbol": "BTC-USDT",
                            "status": "TRADING",
                            "price": "85450.01",
                            "simulated": False,
                            "age_seconds": 1.04,
                            "stale": False,
                        },
                    ],
                    "difference_bp": "1.17",
                    "probably_two_coins": False,
                }
            ]
        }
    )

    base: str
    quote: str
    venues: Annotated[
        list[Venue], Field(description="On two exchanges or more, in the order of /api/feeds")
    ]
    difference_bp: Annotated[
        Amount,
        Field(
            description="(highest - lowest) / lowest price in basis points, rounded to hundredths"
        ),
    ]
    probably_two_coins: Annotated[
        bool, Field(description="More than 20 % apart: probably two coins of the same name")
    ]


class Comparisons(BaseModel):
    id: Annotated[str, Field(description="The `id` of the state that the prices are from")]
    pairs: Annotated[
        list[Comparison], Field(description="Pairs with a price on two exchanges or more")
    ]


def compare(prices: PriceTable, which: CompareFilter) -> Comparisons:
    """Return the comparisons from memory."""
    included = (which.include or "").split(",")
    pairs = comparisons(
        prices.where(Selection(quotes=lowered([which.quote]))),
        datetime.now(UTC),
        stale="stale" in included,
        halted="halted" in included,
    )
    return Comparisons(id=prices.name(prices.id), pairs=list(pairs))


def comparisons(
    listed: Iterable[Price], now: datetime, *, stale: bool, halted: bool
) -> Iterable[Comparison]:
    """Yield each base with a price on two exchanges or more. `listed` are the prices of one quote."""
    for base, group in groupby(sorted(listed, key=_order), lambda price: price.base):
        prices = [
            price for price in group if price.price > 0 and (halted or price.status == TRADING)
        ]
        venues = [venue(price, now) for price in prices]
        venues = [each for each in venues if stale or not each.stale]
        if len({each.exchange for each in venues}) < 2:
            continue
        lowest = min(each.price for each in venues)
        highest = max(each.price for each in venues)
        yield Comparison(
            base=base or "",
            quote=prices[0].quote or "",
            venues=venues,
            difference_bp=difference_bp(lowest, highest),
            probably_two_coins=are_probably_two_coins(lowest, highest),
        )


def _order(price: Price) -> tuple[str, int, str]:
    """Order prices by base, then as in /api/feeds."""
    return price.base or "", list(EXCHANGE).index(price.exchange), price.symbol


def venue(price: Price, now: datetime) -> Venue:
    age = now - (price.traded_at or price.received_at)
    return Venue(
        exchange=price.exchange,
        symbol=price.symbol,
        status=price.status or "",
        price=price.price,
        simulated=is_simulated(price.endpoint),
        age_seconds=round(age.total_seconds(), 3),
        stale=age > STALE_AFTER,
    )


def difference_bp(lowest: Decimal, highest: Decimal) -> Decimal:
    """Return (highest - lowest) / lowest in basis points, rounded half to even to hundredths."""
    with localcontext(EXACT):
        return (BASIS_POINTS * (highest - lowest) / lowest).quantize(SHOWN)


def are_probably_two_coins(lowest: Decimal, highest: Decimal) -> bool:
    with localcontext(EXACT):
        return highest - lowest > PROBABLY_TWO_COINS * lowest
