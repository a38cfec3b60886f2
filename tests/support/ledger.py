"""What the replay exchange wrote to each connection, and its comparison with what arrived."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from threading import Lock
from typing import Any, NamedTuple

from infra.replay.connection import Connection

# (symbol, sequence or E); of what can't be read the text: a frame, or one element as JSON.
Identity = tuple[str, int] | str


BREAK_MARGIN = 1_000_000
"""Microseconds: of what was written so shortly before a break, part may be lost with it."""


class Frame(NamedTuple):
    """A data frame. Times are microseconds since the epoch."""

    written_at: int
    text: str | None
    kept: tuple[Identity, ...] | None

    @property
    def identities(self) -> tuple[Identity, ...]:
        if self.kept is not None:
            return self.kept
        assert self.text is not None
        return tuple(identities_in(self.text))


@dataclass
class Written:
    """To one connection. `ended_at` and `ending` are None while it is open; then the ending is
    "closed" or "broken" by the exchange, or the client "left".
    """

    exchange: str
    number: int
    name: str
    opened_at: int
    frames: list[Frame] = field(default_factory=list)
    ended_at: int | None = None
    ending: str | None = None
    reason: str = ""


class Ledger:
    """The observer of both exchanges. Written by the thread of the exchange, read by tests."""

    def __init__(self, *, texts: bool = True) -> None:
        """Without the texts a long run takes less memory: the identities are kept."""
        self._texts = texts
        self._lock = Lock()
        self._written: list[Written] = []
        self._open: dict[Connection, Written] = {}

    def connections(self, exchange: str) -> list[Written]:
        """As they stand, in the order of their opening."""
        with self._lock:
            return [
                replace(written, frames=list(written.frames))
                for written in self._written
                if written.exchange == exchange
            ]

    def opened(self, connection: Connection) -> None:
        with self._lock:
            number = 1 + sum(written.exchange == connection.exchange for written in self._written)
            written = Written(connection.exchange, number, str(connection), now_us())
            self._written.append(written)
            self._open[connection] = written

    def sending(self, connection: Connection, texts: Sequence[str]) -> None:
        now = now_us()
        if self._texts:
            frames = [Frame(now, text, None) for text in texts]
        else:
            frames = [Frame(now, None, tuple(identities_in(text))) for text in texts]
        with self._lock:
            self._open[connection].frames += frames

    def ended(self, connection: Connection) -> None:
        with self._lock:
            written = self._open.pop(connection)
            written.ended_at = now_us()
            written.ending = connection.ending
            written.reason = connection.reason


def identities_in(text: str) -> Iterator[Identity]:
    """Those in a data frame, in its order."""
    try:
        frame = json.loads(text)
    except json.JSONDecodeError:
        frame = None
    match frame:
        case {"subject": str(symbol), "data": {"sequence": sequence}}:
            yield intern(symbol), int(sequence)
        case list():
            for element in frame:
                match element:
                    case {"s": str(symbol), "E": int(sequence)}:
                        yield intern(symbol), sequence
                    case _:
                        yield json.dumps(element)
        case _:
            yield text


def now_us() -> int:
    return time.time_ns() // 1000


def identities(items: Iterable[dict[str, Any]]) -> list[Identity]:
    """Of the items of a topic, as the ledger has them."""
    return [_identity(item) for item in items]


def _identity(item: dict[str, Any]) -> Identity:
    if "unreadable" in item:
        return str(item["unreadable"])
    if "subject" in item:
        return item["subject"], int(item["data"]["sequence"])
    return item["s"], item["E"]


def surely_received(connection: Written) -> list[Identity]:
    """Frames of a connection that ended in an orderly way, or until a second before it was broken."""
    if connection.ending == "closed":
        end = connection.ended_at
    elif connection.ending == "broken":
        end = (connection.ended_at or 0) - BREAK_MARGIN
    else:
        return []
    return [
        identity
        for frame in connection.frames
        if frame.written_at <= (end or 0)
        for identity in frame.identities
    ]


def assert_each_once(connections: Iterable[Written], items: Iterable[dict[str, Any]]) -> None:
    """What was surely received is there, nothing that was not written is, and nothing twice.

    For connections that follow each other: what the exchange wrote twice counts twice.
    """
    found = Counter(identities(items))
    written = [
        identity for each in connections for frame in each.frames for identity in frame.identities
    ]
    sure = [identity for each in connections for identity in surely_received(each)]
    assert not Counter(sure) - found, "missing"
    assert not found - Counter(written), "too many"
