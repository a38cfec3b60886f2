"""Build the answers to Binance's `GET /api/v3/exchangeInfo`. Pure."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from infra.replay.binance.frames import decimal_text
from infra.replay.encoding import encode_json
from infra.replay.market.symbols import Pair

RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
]
LARGEST = "9000000.00000000"
"""Upper bound of orders. Any value will do: the replay exchange takes no orders."""


class SymbolList:
    """All symbols that Binance lists. Symbols that no longer trade have the status BREAK."""

    def __init__(self, listing: Sequence[Pair], trading: Sequence[Pair]) -> None:
        self._pairs = {pair.symbol: pair for pair in listing}
        self._trading = {pair.symbol for pair in trading}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._pairs

    @cached_property
    def _texts(self) -> dict[str, str]:
        """Encoded symbols, built once: encoding 3,651 per answer would delay the streams."""
        return {
            symbol: encode_json(
                symbol_info(pair, "TRADING" if symbol in self._trading else "BREAK")
            )
            for symbol, pair in self._pairs.items()
        }

    def answer(self, now: int, symbols: Iterable[str] | None, *, permission_sets: bool) -> str:
        """Return the answer for these symbols, or for all if None. `now` is in milliseconds."""
        texts = self._texts.values() if symbols is None else [self._texts[each] for each in symbols]
        listed = ",".join(texts)
        if not permission_sets:
            listed = listed.replace('"permissionSets":[["SPOT"]]', '"permissionSets":[]')
        return (
            f'{{"timezone":"UTC","serverTime":{now},"rateLimits":{encode_json(RATE_LIMITS)},'
            f'"exchangeFilters":[],"symbols":[{listed}]}}'
        )


def symbol_info(pair: Pair, status: str) -> dict[str, Any]:
    return {
        "symbol": pair.symbol,
        "status": status,
        "baseAsset": pair.base,
        "baseAssetPrecision": 8,
        "quoteAsset": pair.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": decimal_text(pair.price_increment),
                "maxPrice": LARGEST,
                "tickSize": decimal_text(pair.price_increment),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": decimal_text(pair.size_increment),
                "maxQty": LARGEST,
                "stepSize": decimal_text(pair.size_increment),
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }
