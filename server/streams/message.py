"""What a stream says, as JSON, and the bytes that carry it on either kind of stream.

    {"type":"snapshot","id":"5f3c1a2b-311","previous":null,"prices":[every row of the subscription]}
    {"type":"changes","id":"5f3c1a2b-312","previous":"5f3c1a2b-311","prices":[what changed of it]}
    {"type":"heartbeat","id":"5f3c1a2b-319","previous":"5f3c1a2b-312","time":"2025-03-28T07:37:28.501233Z"}
    {"type":"status","id":…,"previous":…,"time":…,"postgres":"away","since":…,"age_seconds":12.3}
    {"type":"status","id":…,"previous":…,"time":…,"postgres":"back","since":…,"age_seconds":0.0}
    {"type":"unreadable","id":…,"previous":…,"time":…,"exchanges":[
        {"exchange":"kucoin","share":0.973,"cause":"sequence is missing"}]}

Whatever its type, `previous` is the id of the message before it on this stream. docs/server.md says
what clients make of it.
"""

import json
import struct
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property

from server.state.prices import Price, instant
from server.state.unreadable import Unreadable

TEXT = 0x81
"""A WebSocket's text frame, the last of its message."""


class Message:
    """Each form of it is made when it is first sent, and once for all clients."""

    def __init__(self, id: str | None, text: str) -> None:
        self._id = id
        self._text = text

    @cached_property
    def frame(self) -> bytes:
        """For a WebSocket; a server does not mask."""
        payload = self._text.encode()
        size = len(payload)
        if size < 126:
            return struct.pack("!BB", TEXT, size) + payload
        if size < 65_536:
            return struct.pack("!BBH", TEXT, 126, size) + payload
        return struct.pack("!BBQ", TEXT, 127, size) + payload

    @cached_property
    def event(self) -> bytes:
        """For SSE. Without an id, a client keeps the last one that it has."""
        known = "" if self._id is None else f"id: {self._id}\n"
        return f"{known}data: {self._text}\n\n".encode()

    @cached_property
    def chunk(self) -> bytes:
        """The event as a chunk of HTTP 1.1."""
        return b"%x\r\n%b\r\n" % (len(self.event), self.event)


def snapshot(id: str, prices: Iterable[Price]) -> Message:
    return Message(id, f'{{"type":"snapshot","id":"{id}","previous":null,{_rows(prices)}}}')


def changes(id: str, previous: str, prices: Iterable[Price]) -> Message:
    return Message(id, f'{{"type":"changes","id":"{id}","previous":"{previous}",{_rows(prices)}}}')


def heartbeat(id: str | None, previous: str | None, now: datetime) -> Message:
    return Message(id, f'{{"type":"heartbeat",{_place(id, previous, now)}}}')


def status(
    id: str | None, previous: str | None, now: datetime, postgres: str, since: datetime
) -> Message:
    age = (now - since).total_seconds()
    return Message(
        id,
        f'{{"type":"status",{_place(id, previous, now)},"postgres":"{postgres}",'
        f'"since":"{instant(since)}","age_seconds":{age:.1f}}}',
    )


def unreadable(
    id: str | None, previous: str | None, now: datetime, exchanges: Mapping[str, Unreadable]
) -> Message:
    """Name the exchanges of which most can't be read; none says that all can be read again."""
    rows = [{"exchange": exchange, **found.model_dump()} for exchange, found in exchanges.items()]
    return Message(
        id, f'{{"type":"unreadable",{_place(id, previous, now)},"exchanges":{json.dumps(rows)}}}'
    )


def _rows(prices: Iterable[Price]) -> str:
    return f'"prices":[{",".join(price.json for price in prices)}]'


def _place(id: str | None, previous: str | None, now: datetime) -> str:
    return f'"id":{_quoted(id)},"previous":{_quoted(previous)},"time":"{instant(now)}"'


def _quoted(id: str | None) -> str:
    return "null" if id is None else f'"{id}"'
