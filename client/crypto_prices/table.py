"""Keep the table of prices from the messages of a stream. No I/O.

A snapshot replaces the table; changes replace the prices of their symbols. Except in a snapshot, `previous`
must be the id of the message before. After a lost connection, the id of the last message is sent as
`since`, and the stream continues.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crypto_prices.events import (
    Connected,
    Event,
    Interruption,
    PostgresAway,
    PostgresBack,
    Skipped,
    Unreadable,
)
from crypto_prices.price import Key, Price, price_of


class MissedMessageError(Exception):
    """A message is missing. The table is that of the last message: resume after it."""


class Table:
    """The prices as of the last message."""

    def __init__(self) -> None:
        self.id: str | None = None
        """Id of the last message; None before the first one."""
        self.prices: dict[Key, Price] = {}
        self.interruptions: dict[tuple[str, datetime], Interruption] = {}
        """The ongoing interruptions, by exchange and start."""
        self._is_new_connection = True
        self._unreadable: tuple[str, ...] = ()
        """The exchanges that were reported as unreadable."""
        self._is_unreadable_known = False
        """Whether the connection has shown which exchanges are unreadable."""
        self._away_since: datetime | None = None

    def connection_opened(self) -> None:
        """Call it before the first message of each connection."""
        self._is_new_connection = True
        self._is_unreadable_known = False

    def why_empty(self) -> str:
        """Return the reason why an open connection has no prices yet."""
        if self._away_since is None:
            return "connected, but no prices have arrived"
        since = self._away_since.isoformat(timespec="seconds")
        return f"connected, but the server has been unable to read its database since {since}"

    def take(self, message: Mapping[str, Any]) -> tuple[list[Price], list[Event]]:
        """Update the table. Return the prices that are new or changed, and the events.

        Raise MissedMessageError, and leave the table unchanged, if a message is missing.
        """
        kind, id, previous = message["type"], message["id"], message["previous"]
        if kind != "snapshot" and id is not None and previous != self.id:
            raise MissedMessageError(f"expected a message after {self.id}, not after {previous}")
        changed = self._changed_prices(kind == "snapshot", message.get("prices", ()))
        if id is not None:
            self.id = id
        return changed, list(self._events(kind, message))

    def _changed_prices(self, is_snapshot: bool, rows: list[Mapping[str, Any]]) -> list[Price]:
        prices = list(map(price_of, rows))
        changed = [price for price in prices if self.prices.get(price.key) != price]
        if is_snapshot:
            self.prices = {price.key: price for price in prices}
        else:
            self.prices.update((price.key, price) for price in prices)
        return changed

    def _events(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        if "prices" in message:
            if self._is_new_connection:
                yield Connected(resumed=kind == "changes")
            if message["skipped"]:
                yield Skipped(message["skipped"])
            ongoing = list(map(_interruption, message["interruptions"]))
            # While a connection stays open, the server sends a message about each end.
            if self._is_new_connection or kind == "snapshot":
                yield from self._ended(ongoing, datetime.fromisoformat(message["time"]))
            for each in ongoing:
                yield from self._interruption_changed(each)
        elif kind == "interruption":
            yield from self._interruption_changed(_interruption(message))
        yield from self._unreadable_changed(kind, message)
        yield from self._postgres(kind, message)
        if "prices" in message:
            self._is_new_connection = False

    def _ended(self, ongoing: list[Interruption], now: datetime) -> Iterator[Event]:
        """Yield and remove the interruptions that are no longer ongoing: their messages were missed."""
        for key in sorted(self.interruptions.keys() - set(map(_key, ongoing))):
            yield replace(self.interruptions.pop(key), end=now)

    def _interruption_changed(self, interruption: Interruption) -> Iterator[Event]:
        key = _key(interruption)
        # A message with prices and an "interruption" message may report the same one.
        if self.interruptions.get(key) == interruption:
            return
        if interruption.end is None:
            self.interruptions[key] = interruption
        else:
            self.interruptions.pop(key, None)
        yield interruption

    def _unreadable_changed(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        # The server sends what is unreadable after the first prices of a connection. Any other message
        # then shows that nothing is.
        if kind == "unreadable":
            exchanges = tuple(each["exchange"] for each in message["exchanges"])
        elif self._is_new_connection or self._is_unreadable_known:
            return
        else:
            exchanges = ()
        self._is_unreadable_known = True
        if exchanges != self._unreadable:
            self._unreadable = exchanges
            yield Unreadable(exchanges)

    def _postgres(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        # A server that has read Postgres starts each connection with prices, even while Postgres is away.
        # Unreadable exchanges may follow, then the status. It is repeated while Postgres is away; any
        # other message shows that Postgres is back.
        if kind == "unreadable" or (self._is_new_connection and "prices" in message):
            return
        was_away = self._away_since is not None
        if kind == "status" and message["postgres"] == "away":
            self._away_since = datetime.fromisoformat(message["since"])
            if not was_away:
                yield PostgresAway(self._away_since)
        else:
            self._away_since = None
            if was_away:
                yield PostgresBack()


def _key(interruption: Interruption) -> tuple[str, datetime]:
    return interruption.exchange, interruption.start


def _interruption(message: Mapping[str, Any]) -> Interruption:
    end = message["to"]
    return Interruption(
        message["exchange"],
        datetime.fromisoformat(message["from"]),
        None if end is None else datetime.fromisoformat(end),
        message["reason"],
    )
