"""Define which prices a client wants: by exchange, base, quote, symbol and trading status."""

from typing import NamedTuple

from server.state.prices import Price


class Selection(NamedTuple):
    """Filter of prices. A price must match every part; an empty set, or None, matches all.

    Exchanges and symbols match exactly. Bases, quotes and the status are lowercase and match
    case-insensitively.
    """

    exchanges: frozenset[str] = frozenset()
    bases: frozenset[str] = frozenset()
    quotes: frozenset[str] = frozenset()
    symbols: frozenset[str] = frozenset()
    status: str | None = None

    def matches(self, price: Price) -> bool:
        """Return whether the price is selected. An unlisted symbol has no base, quote or status."""
        return (
            _is_in(price.exchange, self.exchanges)
            and _is_in(price.symbol, self.symbols)
            and _is_in((price.base or "").lower(), self.bases)
            and _is_in((price.quote or "").lower(), self.quotes)
            and self.status in (None, (price.status or "").lower())
        )


def _is_in(value: str, wanted: frozenset[str]) -> bool:
    return not wanted or value in wanted
