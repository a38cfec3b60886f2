"""Types of the messages of a stream, and the functions that build them.

    {"type":"snapshot","id":"5f3c1a2b-311","previous":null,"time":"2025-03-28T07:37:28.501233Z",
     "skipped":0,"prices":[every row of the subscription]}
    {"type":"changes","id":"5f3c1a2b-312","previous":"5f3c1a2b-311","time":…,
     "skipped":0,"prices":[its changed rows]}
    {"type":"heartbeat","id":"5f3c1a2b-319","previous":"5f3c1a2b-312","time":…}
    {"type":"status","id":…,"previous":…,"time":…,"postgres":"away","since":…,"age_seconds":12.3}
    {"type":"status","id":…,"previous":…,"time":…,"postgres":"back","since":…,"age_seconds":0.0}
    {"type":"unreadable","id":…,"previous":…,"time":…,"exchanges":[
        {"exchange":"kucoin","share":0.973,"cause":"sequence is missing"}]}
    {"type":"interruption","id":…,"previous":…,"time":…,
     "exchange":"kucoin","from":"2025-03-28T07:37:28.501233Z","to":null,"reason":"silence: …"}

`previous` is null in a snapshot and while `id` is null. In any other message it is the last `id` on the same
stream that was not null, or at first the one in `since`.
The models are the schema: /asyncapi.json is made from them. The rows of `prices` are text that Postgres
wrote, so messages with prices are joined as text.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, Field

from server.fields import Amount, Exchange, Instant
from server.price_row import PriceRow
from server.state.interruptions import Interruption
from server.state.prices import Price, instant, selected
from server.state.unreadable import Unreadable
from server.streams.message import Message


class RunningCandle(BaseModel):
    """A one-minute candle, made of ticker updates. The newest one of a symbol is running."""

    exchange: Exchange
    symbol: str
    interval: Literal["1m"]
    start: Instant
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    updates: int
    closed: Annotated[bool, Field(description="The symbol has a newer candle")]


class StreamMessage(BaseModel):
    """Fields of every message."""

    id: Annotated[
        str | None,
        Field(
            description="State of the table; null until the server has read Postgres, and while a new"
            " snapshot is due"
        ),
    ]
    previous: Annotated[
        str | None,
        Field(
            description="The last `id` that was not null, or at first `since`; null in a snapshot and"
            " while `id` is null"
        ),
    ]
    time: Annotated[Instant, Field(description="When the message was built")]


class PricesMessage(StreamMessage):
    skipped: Annotated[
        int,
        Field(
            description="Number of changes that were replaced by later ones, because the client was not"
            " ready for them"
        ),
    ]
    interruptions: Annotated[
        list[Interruption] | None,
        Field(default=None, description="The ongoing ones; only with `events=interruptions`"),
    ]
    candles: Annotated[
        list[RunningCandle] | None,
        Field(
            default=None,
            description="The newest two one-minute candles of each changed price; only with `candles=1m`",
        ),
    ]
    prices: list[PriceRow]


class Snapshot(PricesMessage):
    """Every price of the subscription. It replaces all earlier ones."""

    type: Literal["snapshot"]


class Changes(PricesMessage):
    """The prices that changed since `previous`."""

    type: Literal["changes"]


class Heartbeat(StreamMessage):
    """Sent after 5 seconds without another message."""

    type: Literal["heartbeat"]


class Status(StreamMessage):
    """Sent when Postgres becomes unavailable, every 5 seconds until it is back, and then once."""

    type: Literal["status"]
    postgres: Literal["away", "back"]
    since: Instant
    age_seconds: float


class UnreadableExchange(Unreadable):
    exchange: Exchange


class UnreadableMessage(StreamMessage):
    """The exchanges most of whose items could not be read in the last minute; sent when they change."""

    type: Literal["unreadable"]
    exchanges: list[UnreadableExchange]


class InterruptionMessage(StreamMessage, Interruption):
    """An interruption that began, ended, or got another reason; only with `events=interruptions`."""

    type: Literal["interruption"]


MESSAGES: dict[str, type[StreamMessage]] = {
    "snapshot": Snapshot,
    "changes": Changes,
    "heartbeat": Heartbeat,
    "status": Status,
    "unreadable": UnreadableMessage,
    "interruption": InterruptionMessage,
}
"""Model of each type of message."""


class Position(NamedTuple):
    """Place of a message on its stream, and its time."""

    id: str | None
    previous: str | None
    time: datetime


def prices_message(
    position: Position,
    prices: Iterable[Price],
    *,
    fields: frozenset[str] | None,
    skipped: int,
    ongoing: Iterable[Interruption] | None,
    candles: Iterable[str] | None,
) -> Message:
    """Return a snapshot if the position has no previous message, otherwise the changes.

    `ongoing` has the interruptions to list, `candles` the JSON of the candles. Each is None if the client
    does not want it.
    """
    type = "snapshot" if position.previous is None else "changes"
    rows = ",".join(price.json if fields is None else selected(price, fields) for price in prices)
    wanted = ""
    if ongoing is not None:
        texts = (each.model_dump_json(by_alias=True) for each in ongoing)
        wanted += f'"interruptions":[{",".join(texts)}],'
    if candles is not None:
        wanted += f'"candles":[{",".join(candles)}],'
    return Message(
        position.id,
        f'{{"type":"{type}","id":"{position.id}","previous":{_quoted(position.previous)},'
        f'"time":"{instant(position.time)}","skipped":{skipped},{wanted}"prices":[{rows}]}}',
    )


def heartbeat(position: Position) -> Message:
    return _message(Heartbeat(type="heartbeat", **position._asdict()))


def status(position: Position, postgres: Literal["away", "back"], since: datetime) -> Message:
    age = round((position.time - since).total_seconds(), 1)
    return _message(
        Status(type="status", **position._asdict(), postgres=postgres, since=since, age_seconds=age)
    )


def unreadable(position: Position, exchanges: Mapping[str, Unreadable]) -> Message:
    """List the mostly unreadable exchanges; an empty list means that there are none."""
    rows = [
        UnreadableExchange(exchange=exchange, **found.model_dump())
        for exchange, found in exchanges.items()
    ]
    return _message(UnreadableMessage(type="unreadable", **position._asdict(), exchanges=rows))


def interruption(position: Position, about: Interruption) -> Message:
    return _message(
        InterruptionMessage(type="interruption", **position._asdict(), **about.model_dump())
    )


def _message(content: StreamMessage) -> Message:
    return Message(content.id, content.model_dump_json(by_alias=True))


def _quoted(id: str | None) -> str:
    return "null" if id is None else f'"{id}"'
