"""Keep the subscriptions of connections to streams, and deliver updates to them."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from infra.replay.connection import Connection
from infra.replay.encoding import encode_frames


class Update(Protocol):
    """Tickers that an exchange publishes together."""

    def serves(self, stream: str) -> bool:
        """Return whether updates of this kind can have messages for a stream."""

    def messages(self, stream: str) -> Sequence[str]:
        """Return the texts to send to the subscribers of a stream."""

    def symbols(self) -> Collection[str]: ...

    def fields(self, symbol: str) -> Mapping[str, Any] | None:
        """Return a symbol's ticker with the exchange's field names, None if there is no ticker."""


class Subscriptions:
    """Streams of one exchange and the connections that subscribed to them."""

    def __init__(self) -> None:
        self._connections: dict[str, set[Connection]] = defaultdict(set)
        # A dict keeps the order of subscription.
        self._streams: dict[Connection, dict[str, None]] = defaultdict(dict)
        self._present = asyncio.Event()

    def __bool__(self) -> bool:
        return bool(self._streams)

    def of(self, connection: Connection) -> list[str]:
        """Return the streams of a connection in the order of subscription."""
        return list(self._streams.get(connection, ()))

    def add(self, connection: Connection, streams: Iterable[str]) -> None:
        for stream in streams:
            self._connections[stream].add(connection)
            self._streams[connection][stream] = None
            self._present.set()

    def discard(self, connection: Connection, streams: Iterable[str]) -> None:
        for stream in streams:
            if connection in self._connections.get(stream, ()):
                self._connections[stream].discard(connection)
                if not self._connections[stream]:
                    del self._connections[stream]
                del self._streams[connection][stream]
        if not self._streams.get(connection):
            self._streams.pop(connection, None)
        if not self._streams:
            self._present.clear()

    def drop(self, connection: Connection) -> None:
        """Remove all subscriptions of a connection."""
        self.discard(connection, self.of(connection))

    async def present(self) -> None:
        """Wait until there is a subscription."""
        await self._present.wait()

    def publish(self, update: Update) -> None:
        """Send an update to every subscriber. Each text is encoded once per envelope."""
        for stream, connections in self._connections.items():
            if texts := update.messages(stream):
                deliver(stream, texts, connections)


def deliver(stream: str, texts: Sequence[str], connections: Collection[Connection]) -> None:
    """Send the texts of a stream, each in the envelope of its connection."""
    for envelope in {connection.envelope for connection in connections}:
        sent = [envelope(stream, text) for text in texts]
        frames = encode_frames(sent)
        for connection in connections:
            if connection.envelope is envelope:
                connection.send_data(sent, frames)
