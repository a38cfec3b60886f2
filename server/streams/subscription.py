"""Define which prices a stream sends."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from server.fields import Exchange, Name, PriceFields, field_set

MAX_SYMBOLS = 100


class Subscription(NamedTuple):
    """Filter of prices, and the fields to send. A price must match every filter; None or an empty set
    matches all.

    Equal subscriptions share their messages.
    """

    exchange: str | None = None
    quote: str | None = None
    symbols: frozenset[str] = frozenset()
    fields: frozenset[str] | None = None
    """Fields of each price; None for all. It does not decide which prices match."""

    def matches(self, exchange: str, symbol: str, quote: str | None) -> bool:
        """`quote` is None for a symbol that its exchange does not list."""
        return (
            self.exchange in (None, exchange)
            and self.quote in (None, quote)
            and (not self.symbols or symbol in self.symbols)
        )


class StreamQuery(BaseModel):
    """Query parameters of a stream; a missing one matches all."""

    model_config = ConfigDict(extra="forbid")

    exchange: Exchange | None = None
    quote: Annotated[Name | None, Field(description="As listed by the exchange")] = None
    symbol: Annotated[
        Sequence[Name],
        Field(max_length=MAX_SYMBOLS, description="As the exchange spells it; may be repeated"),
    ] = ()
    fields: PriceFields | None = None
    since: Annotated[
        str | None,
        Field(max_length=64, description="The `id` of the last message, to resume after it"),
    ] = None

    def subscription(self) -> Subscription:
        return Subscription(
            self.exchange, self.quote, frozenset(self.symbol), field_set(self.fields)
        )
