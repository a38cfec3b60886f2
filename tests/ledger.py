"""What the replay exchange wrote to each connection, for tests to compare with what arrived."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from threading import Lock
from typing import NamedTuple

from infra.exchange.connection import Connection

# (symbol, sequence or E); of what can't be read the text: a frame, or one element as JSON.
Identity = tuple[str, int] | str


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
        return tuple(identities(self.text))


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
            frames = [Frame(now, None, tuple(identities(text))) for text in texts]
        with self._lock:
            self._open[connection].frames += frames

    def ended(self, connection: Connection) -> None:
        with self._lock:
            written = self._open.pop(connection)
            written.ended_at = now_us()
            written.ending = connection.ending
            written.reason = connection.reason


def identities(text: str) -> Iterator[Identity]:
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
