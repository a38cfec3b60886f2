"""Define what a stream sends."""

from typing import Annotated, NamedTuple

from pydantic import Field

from server.fields import PriceFields, SelectionQuery, field_set
from server.state.selection import Selection


class Subscription(NamedTuple):
    """What a client is sent. Equal subscriptions share their messages."""

    selection: Selection = Selection()
    fields: frozenset[str] | None = None
    """Fields of each price; None for all."""


class StreamQuery(SelectionQuery):
    """Query parameters of a stream; a missing one matches all."""

    fields: PriceFields | None = None
    since: Annotated[
        str | None,
        Field(max_length=64, description="The `id` of the last message, to resume after it"),
    ] = None

    def subscription(self) -> Subscription:
        return Subscription(self.selection(), field_set(self.fields))
