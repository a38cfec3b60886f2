"""Define what a stream sends."""

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from server.fields import PriceFields, SelectionQuery, field_set
from server.state.selection import Selection


class Subscription(NamedTuple):
    """What a client is sent. Equal subscriptions share their messages."""

    selection: Selection = Selection()
    fields: frozenset[str] | None = None
    """Fields of each price; None for all."""
    interruptions: bool = False
    """Send the interruptions of the exchanges too."""


class StreamQuery(SelectionQuery):
    """Query parameters of a stream; a missing one matches all."""

    fields: PriceFields | None = None
    events: Annotated[
        Literal["interruptions"] | None,
        Field(
            description="`interruptions`: send a message when an interruption of a selected exchange"
            " begins and ends, and list the ongoing ones in every message with prices"
        ),
    ] = None
    since: Annotated[
        str | None,
        Field(max_length=64, description="The `id` of the last message, to resume after it"),
    ] = None

    def subscription(self) -> Subscription:
        return Subscription(
            self.selection(), field_set(self.fields), self.events == "interruptions"
        )
