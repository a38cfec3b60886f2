"""Record the items that the exchanges write to their connections, as hashes: a soak has millions."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from extractors.receive.notices import now_us
from infra.replay.connection import Connection
from tests.support.ledger import identities_in

MARGIN = 5_000_000
"""Microseconds before a connection's end in which items may be lost: extractors read late while a Spark
driver starts on the same machine."""

Hashes = NDArray[np.int64]
"""Hashes of items' identities, such as symbol and sequence. Collisions are unlikely among millions."""


@dataclass
class Written:
    """Items written to a connection, and the times of writing, in microseconds since the epoch."""

    items: "array[int]" = field(default_factory=lambda: array("q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    ended_at: int | None = None
    ending: str | None = None

    def sure(self) -> Hashes:
        """Return the items that an extractor must have kept."""
        items = np.frombuffer(self.items, np.int64)
        if self.ending == "closed":
            return items
        # The connection was broken, or the extractor left it or was killed.
        end = now_us() if self.ended_at is None else self.ended_at
        return items[np.frombuffer(self.times, np.int64) <= end - MARGIN]


class Sent:
    """Observer of both exchanges. The exchanges' thread writes it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._written: dict[str, list[Written]] = {}
        self._open: dict[Connection, Written] = {}

    def opened(self, connection: Connection) -> None:
        with self._lock:
            self._open[connection] = written = Written()
            self._written.setdefault(connection.exchange, []).append(written)

    def sending(self, connection: Connection, texts: Sequence[str]) -> None:
        found = array("q", (hash(each) for text in texts for each in identities_in(text)))
        with self._lock:
            written = self._open[connection]
            written.items += found
            written.times.extend([now_us()] * len(found))

    def ended(self, connection: Connection) -> None:
        with self._lock:
            written = self._open.pop(connection)
            written.ended_at = now_us()
            written.ending = connection.ending

    def connections(self, exchange: str) -> list[Written]:
        """Return the records of all connections in order of opening. Ended ones no longer change."""
        with self._lock:
            return list(self._written.get(exchange, ()))


def everything(connections: Iterable[Written]) -> Hashes:
    """Return the distinct items that were written."""
    return _once(np.frombuffer(each.items, np.int64) for each in connections)


def surely_received(connections: Iterable[Written]) -> Hashes:
    """Return the distinct items that must have been kept."""
    return _once(each.sure() for each in connections)


def _once(parts: Iterable[Hashes]) -> Hashes:
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))
