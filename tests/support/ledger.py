"""Record what the replay exchange writes to each connection, and compare it with what arrived."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from threading import Lock
from typing import Any, NamedTuple

from extractors.receive.notices import now_us
from infra.replay.connection import Connection

Identity = tuple[str, int] | str
"""(symbol, sequence or E), or the text if it is unreadable: a frame, or one element as JSON."""


BREAK_MARGIN = 1_000_000
"""Microseconds before the end of a broken connection. Frames written in this time may be lost, even if the
extractor is not late."""


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
    """Frames written to one connection.

    `ended_at` and `ending` are None while it is open; then `ending` is "closed" or "broken" (by the
    exchange) or "left" (by the client).
    """

    exchange: str
    number: int
    opened_at: int
    frames: list[Frame] = field(default_factory=list)
    ended_at: int | None = None
    ending: str | None = None
    reason: str = ""


class Ledger:
    """Observer of both exchanges. The exchange's thread writes it, tests read it."""

    def __init__(self, *, texts: bool = True) -> None:
        """`texts=False` keeps only identities, which saves memory in long runs."""
        self._texts = texts
        self._lock = Lock()
        self._written: list[Written] = []
        self._open: dict[Connection, Written] = {}

    def connections(self, exchange: str) -> list[Written]:
        """Return copies of the connections' current records, in order of opening."""
        with self._lock:
            return [
                replace(written, frames=list(written.frames))
                for written in self._written
                if written.exchange == exchange
            ]

    def opened(self, connection: Connection) -> None:
        with self._lock:
            number = 1 + sum(written.exchange == connection.exchange for written in self._written)
            written = Written(connection.exchange, number, now_us())
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
    """Yield the identities in a data frame, in order."""
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


def identities(items: Iterable[dict[str, Any]]) -> list[Identity]:
    """Return the identities of a topic's items, comparable with the ledger's."""
    return [_identity(item) for item in items]


def _identity(item: dict[str, Any]) -> Identity:
    if "unreadable" in item:
        return str(item["unreadable"])
    if "subject" in item:
        return item["subject"], int(item["data"]["sequence"])
    return item["s"], item["E"]


def lateness(connections: Iterable[Written], items: Iterable[dict[str, Any]]) -> int:
    """Return the longest time in microseconds from the writing of a frame to its reading.

    An extractor reads late when other programs keep the processors busy.
    """
    written_at = {
        identity: frame.written_at
        for connection in connections
        for frame in connection.frames
        for identity in frame.identities
    }
    return max(
        (
            item["received_at"] - written_at[identity]
            for item in items
            if (identity := _identity(item)) in written_at
        ),
        default=0,
    )


def surely_received(connection: Written, late: int = 0) -> list[Identity]:
    """Return the identities that must have arrived.

    If the exchange closed the connection, these are all. If the exchange broke it, these are the ones
    written until 1 s before its end, and `late` microseconds earlier if frames were read late. Otherwise
    there are none.
    """
    if connection.ending == "closed":
        end = connection.ended_at
    elif connection.ending == "broken":
        end = (connection.ended_at or 0) - BREAK_MARGIN - late
    else:
        return []
    return [
        identity
        for frame in connection.frames
        if frame.written_at <= (end or 0)
        for identity in frame.identities
    ]


def assert_each_once(connections: Sequence[Written], items: Iterable[dict[str, Any]]) -> None:
    """Assert that no identity surely received is missing, and that none is made up or duplicated.

    For consecutive connections: what the exchange wrote twice counts twice.
    """
    items = list(items)
    found = Counter(identities(items))
    written = [
        identity for each in connections for frame in each.frames for identity in frame.identities
    ]
    late = lateness(connections, items)
    sure = [identity for each in connections for identity in surely_received(each, late)]
    assert not Counter(sure) - found, "missing"
    assert not found - Counter(written), "too many"
