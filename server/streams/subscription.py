"""Define what a stream sends."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from server.fields import PriceFields, SelectionQuery, field_set
from server.state.selection import Selection


class Subscription(NamedTuple):
    """What a client is sent. Equal subscriptions share their messages."""

    selection: Selection = Selection()
    fields: frozenset[str] | None = None
    """Fields of each price; None for all."""
    interruptions: bool = False
    """Send the interruptions of the exchanges too."""
    candles: bool = False
    """Send the newest candles of each changed price too."""


class StreamQuery(SelectionQuery):
    """Query parameters of a stream. Without any, it sends every field of every price."""

    fields: PriceFields | None = None
    events: Annotated[
        Literal["interruptions"] | None,
        Field(
            description="`interruptions`: send a message when an interruption of a selected exchange"
            " begins, ends or gets another reason, and list the ongoing ones in every message with prices"
        ),
    ] = None
    candles: Annotated[
        Literal["1m"] | None,
        Field(
            description="Send the newest two one-minute candles with each change of a price; only with"
            " `symbol`"
        ),
    ] = None
    since: Annotated[
        str | None,
        Field(max_length=64, description="The `id` of the last message, to resume after it"),
    ] = None

    @field_validator("candles")
    @classmethod
    def candles_need_symbols(cls, candles: str | None, others: ValidationInfo) -> str | None:
        # An invalid `symbol` is absent here, and an error of its own.
        if candles is not None and "symbol" in others.data and not others.data["symbol"]:
            raise ValueError("expected `symbol` as well: candles are sent for named symbols")
        return candles

    def subscription(self) -> Subscription:
        return Subscription(
            self.selection(),
            field_set(self.fields),
            interruptions=self.events == "interruptions",
            candles=self.candles == "1m",
        )
