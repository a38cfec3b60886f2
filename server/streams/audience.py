"""Group the clients of one subscription, so that they share messages."""

import time
from datetime import UTC, datetime

from server.state.interruptions import Interruption
from server.state.price_table import Key, PriceTable
from server.state.prices import Price
from server.streams.client import Client
from server.streams.message import Message
from server.streams.message_types import Position, prices_message
from server.streams.subscription import Subscription

MAX_MESSAGES = 8
"""Maximum number of messages kept for one state; most clients are up to date and share one."""

REUSED_FOR = 1.0
"""Seconds for which a message is reused. Clients set their clock by its `time`, and a state may last for
hours while the live job is stopped."""


class Audience:
    """Clients of one subscription. A message is built once for all clients that know the same batch."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.clients: set[Client] = set()
        self.keys: list[Key] = []
        self._exchanges: set[str] = set()
        self._ongoing: list[Interruption] = []
        self._messages: dict[tuple[int | None, int], Message] = {}
        self._rows: dict[int | None, list[Price]] = {}
        self._messages_id = ""
        self._messages_since = 0.0

    def hears_of(self, interruption: Interruption) -> bool:
        """Return whether the clients want interruptions and have prices of its exchange."""
        return self.subscription.interruptions and interruption.exchange in self._exchanges

    def set_ongoing(self, ongoing: list[Interruption]) -> None:
        """Set the interruptions that messages with prices list."""
        self._messages.clear()
        self._ongoing = ongoing

    def choose(self, prices: PriceTable) -> None:
        """Select the keys of the subscription. Call it again after new symbols."""
        self._forget()
        chosen = prices.where(self.subscription.selection)
        self.keys = [(price.exchange, price.symbol) for price in chosen]
        self._exchanges = {price.exchange for price in chosen}

    def message(
        self,
        prices: PriceTable,
        known: int | None,
        fresh: list[Price] | None = None,
        missed: int = 0,
    ) -> Message:
        """Return the changes for a client that knows batch `known`, or a snapshot if it is None.

        `fresh` has the changed prices if the caller knows them; otherwise they are searched. The
        client was not sent `missed` changes; the message says how many of them it replaces.
        """
        id, now = prices.name(prices.id), time.monotonic()
        if self._messages_id != id or now - self._messages_since > REUSED_FOR:
            self._messages_id, self._messages_since = id, now
            self._forget()
        rows = self._rows_after(prices, known, fresh)
        skipped = max(0, missed - len(rows))
        message = self._messages.get((known, skipped))
        if message is None:
            if len(self._messages) == MAX_MESSAGES:
                self._messages.clear()
            message = prices_message(
                Position(id, None if known is None else prices.name(known), datetime.now(UTC)),
                rows,
                fields=self.subscription.fields,
                skipped=skipped,
                ongoing=self._listed_interruptions(),
                candles=self._candles_of(prices, rows),
            )
            self._messages[known, skipped] = message
        return message

    def _listed_interruptions(self) -> list[Interruption] | None:
        if not self.subscription.interruptions:
            return None
        return list(filter(self.hears_of, self._ongoing))

    def _candles_of(self, prices: PriceTable, rows: list[Price]) -> list[str] | None:
        if not self.subscription.candles:
            return None
        return [text for text in map(prices.candles, rows) if text is not None]

    def _rows_after(
        self, prices: PriceTable, known: int | None, fresh: list[Price] | None
    ) -> list[Price]:
        if known not in self._rows:
            if len(self._rows) == MAX_MESSAGES:
                self._rows.clear()
            if known is None or fresh is None:
                every = map(prices.__getitem__, self.keys)
                fresh = [price for price in every if known is None or price.batch_id > known]
            self._rows[known] = fresh
        return self._rows[known]

    def _forget(self) -> None:
        self._messages.clear()
        self._rows.clear()
