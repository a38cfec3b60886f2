"""One client of the hub: what it wants, how far it was told, and the way to it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from server.streams.message import Message
from server.streams.socket_writer import SocketWriter
from server.streams.subscription import Subscription


@dataclass(slots=True)
class Traffic:
    """What one kind of stream has carried, in all."""

    clients: int = 0
    """Those that are there now."""
    messages: int = 0
    bytes: int = 0
    conflated: int = 0
    """Changes that a slow client got within those of a later batch."""
    stalled: int = 0
    """Clients that were closed because they read nothing."""


class Client:
    """A client as the hub sees it. Only the hub changes `known`, `is_behind` and what is due."""

    def __init__(
        self,
        channel: SocketWriter,
        encode: Callable[[Message], bytes],
        traffic: Traffic,
        subscription: Subscription,
        since: str | None,
    ) -> None:
        """`since` is the id of the last message that it got on a former connection."""
        self.channel = channel
        self.traffic = traffic
        self.subscription = subscription
        self.since = since
        self.known: int | None = None
        """The batch as of which it has all of its subscription; None: it has nothing yet."""
        self.is_behind = False
        """Something of its subscription changed while it was not ready."""
        self.state_is_due = False
        """It was not ready when there was a heartbeat, or a word on Postgres, to send."""
        self.unreadable_is_due = False
        """It was not ready when there was news of the exchanges that are mostly unreadable."""
        self._encode = encode
        self._told_at = self._moved_at = time.monotonic()
        self._waiting = 0

    @property
    def is_ready(self) -> bool:
        return self.channel.ready

    def send(self, message: Message) -> None:
        """Call it when the client is ready, and once: then it may not be any more."""
        data = self._encode(message)
        self.channel.write(data)
        self.traffic.messages += 1
        self.traffic.bytes += len(data)
        self._told_at = time.monotonic()

    def quiet_for(self) -> float:
        """Seconds since the last message."""
        return time.monotonic() - self._told_at

    def stalled_for(self) -> float:
        """Seconds for which, at every call, no byte less waited for it than before."""
        now, waiting = time.monotonic(), self.channel.waiting
        if waiting == 0 or waiting < self._waiting:
            self._moved_at = now
        self._waiting = waiting
        return now - self._moved_at
