"""Keep the table of prices from the messages of a stream. No I/O.

A snapshot replaces the table; changes are added. `previous` of each message must be the id of the message
before. After a lost connection, the id of the last message is sent as `since`, and the stream continues.
"""

from collections.abc import Iterator, Mapping
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
        self.interruptions: dict[str, Interruption] = {}
        """The ongoing interruption of each exchange that has one."""
        self._is_new_connection = True
        self._is_away = False

    def connection_opened(self) -> None:
        """Call it before the first message of each connection."""
        self._is_new_connection = True

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
            yield from self._ongoing(list(map(_interruption, message["interruptions"])))
        elif kind == "interruption":
            yield from self._interruption_changed(_interruption(message))
        elif kind == "unreadable":
            yield Unreadable(tuple(each["exchange"] for each in message["exchanges"]))
        yield from self._postgres(kind, message)
        if "prices" in message:
            self._is_new_connection = False

    def _ongoing(self, interruptions: list[Interruption]) -> Iterator[Event]:
        """Yield the ongoing interruptions that are new to the client: their messages were missed.

        Remove those that ended, without an event.
        """
        for each in interruptions:
            if self.interruptions.get(each.exchange) != each:
                self.interruptions[each.exchange] = each
                yield each
        exchanges = {each.exchange for each in interruptions}
        for exchange in self.interruptions.keys() - exchanges:
            del self.interruptions[exchange]

    def _interruption_changed(self, interruption: Interruption) -> Iterator[Event]:
        # A slow client may have got prices that list it before this message.
        if self.interruptions.get(interruption.exchange) == interruption:
            return
        if interruption.end is None:
            self.interruptions[interruption.exchange] = interruption
        else:
            self.interruptions.pop(interruption.exchange, None)
        yield interruption

    def _postgres(self, kind: str, message: Mapping[str, Any]) -> Iterator[Event]:
        # A server that has read Postgres starts each connection with prices, even while Postgres is away.
        # Unreadable exchanges may follow, then the status. It is repeated while Postgres is away; any
        # other message shows that Postgres is back.
        if kind == "unreadable" or (self._is_new_connection and "prices" in message):
            return
        is_away = kind == "status" and message["postgres"] == "away"
        if is_away and not self._is_away:
            yield PostgresAway(datetime.fromisoformat(message["since"]))
        elif self._is_away and not is_away:
            yield PostgresBack()
        self._is_away = is_away


def _interruption(message: Mapping[str, Any]) -> Interruption:
    end = message["to"]
    return Interruption(
        message["exchange"],
        datetime.fromisoformat(message["from"]),
        None if end is None else datetime.fromisoformat(end),
        message["reason"],
    )
