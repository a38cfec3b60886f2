"""State of one client of the hub: its subscription, its last batch and its connection."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from server.state.interruptions import Interruption
from server.streams.message import Message
from server.streams.socket_writer import SocketWriter
from server.streams.subscription import Subscription


@dataclass(slots=True)
class Traffic:
    """Counters of one kind of stream."""

    clients: int = 0
    """Clients connected now."""
    messages: int = 0
    bytes: int = 0
    conflated: int = 0
    """Batches whose changes were merged into those of a later batch because the client was slow."""
    stalled: int = 0
    """Clients closed because they read nothing."""


class Client:
    """One client. Only the hub changes its public attributes."""

    def __init__(
        self,
        channel: SocketWriter,
        encode: Callable[[Message], bytes],
        traffic: Traffic,
        subscription: Subscription,
        since: str | None,
    ) -> None:
        """`since` is the id of the last message on the client's previous connection."""
        self.channel = channel
        self.traffic = traffic
        self.subscription = subscription
        self.since = since
        self.known: int | None = None
        """The batch that the client is up to date with; None if its next prices must be a snapshot."""
        self.is_behind = False
        """Prices of its subscription changed while it was not ready."""
        self.missed = 0
        """Number of these changes; a price that changed twice counts twice."""
        self.interruptions_due: dict[tuple[str, datetime], Interruption] = {}
        """Interruptions, by exchange and start, that could not be sent because it was not ready."""
        self.state_is_due = False
        """A heartbeat or a status could not be sent because it was not ready."""
        self.knows_of_outage = False
        """Its last status says that Postgres is unavailable."""
        self.unreadable_is_due = False
        """An `unreadable` message could not be sent because it was not ready."""
        self._encode = encode
        self._sent_at = self._drained_at = time.monotonic()
        self._waiting_before = 0

    @property
    def is_ready(self) -> bool:
        return self.channel.ready

    def send(self, message: Message) -> None:
        """Send one message. The client must be ready; it may not be ready afterwards."""
        data = self._encode(message)
        self.channel.write(data)
        self.traffic.messages += 1
        self.traffic.bytes += len(data)
        self._sent_at = time.monotonic()

    def quiet_for(self) -> float:
        """Return the seconds since the last message."""
        return time.monotonic() - self._sent_at

    def stalled_for(self) -> float:
        """Return the seconds since the client last read.

        It has read if no bytes wait, or fewer than at the previous call, so call this regularly.
        """
        now, waiting = time.monotonic(), self.channel.waiting
        if waiting == 0 or waiting < self._waiting_before:
            self._drained_at = now
        self._waiting_before = waiting
        return now - self._drained_at
