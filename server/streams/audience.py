"""The clients of one subscription, and the messages that they share."""

from exchanges import EXCHANGE
from server.state.price_table import Key, PriceTable
from server.state.prices import Price
from server.streams.client import Client
from server.streams.message import Message, changes, snapshot
from server.streams.subscription import Subscription

MOST_MESSAGES = 8
"""Kept for one state of the table. Clients who are equally far are mostly as far as that."""


class Audience:
    """A message is made once for all clients who are equally far."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.clients: set[Client] = set()
        self.keys: list[Key] = []
        self._messages: dict[int | None, Message] = {}
        self._as_of = ""

    def choose(self, prices: PriceTable) -> None:
        """Which of the prices are its own; again when there are new ones, or other quotes."""
        self._messages.clear()
        wanted = self.subscription
        self.keys = [
            (exchange, symbol)
            for exchange, symbol in self._candidates(prices)
            if wanted.matches(exchange, symbol, prices.quotes.get((exchange, symbol)))
        ]

    def _candidates(self, prices: PriceTable) -> list[Key]:
        named = self.subscription.symbols
        if not named:
            return prices.keys()
        keys = ((exchange, symbol) for exchange in EXCHANGE for symbol in named)
        return [key for key in keys if key in prices]

    def message(
        self, prices: PriceTable, known: int | None, fresh: list[Price] | None = None
    ) -> Message:
        """For a client who knows the batch `known`: what changed since. None: a snapshot.

        `fresh` is what changed since, if that is known without a search.
        """
        id = prices.name(prices.id)
        if id != self._as_of:
            self._as_of = id
            self._messages.clear()
        if known not in self._messages:
            if len(self._messages) == MOST_MESSAGES:
                self._messages.clear()
            self._messages[known] = self._made(prices, id, known, fresh)
        return self._messages[known]

    def _made(
        self, prices: PriceTable, id: str, known: int | None, fresh: list[Price] | None
    ) -> Message:
        if known is None:
            return snapshot(id, map(prices.__getitem__, self.keys))
        if fresh is None:
            fresh = [prices[key] for key in self.keys if prices[key].batch_id > known]
        return changes(id, prices.name(known), fresh)
