"""Group the clients of one subscription, so that they share messages."""

from server.state.price_table import Key, PriceTable
from server.state.prices import Price
from server.streams.client import Client
from server.streams.message import Message, changes, snapshot
from server.streams.subscription import Subscription

MAX_MESSAGES = 8
"""Maximum number of messages kept for one state; most clients are up to date and share one."""


class Audience:
    """Clients of one subscription. A message is built once for all clients that know the same batch."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.clients: set[Client] = set()
        self.keys: list[Key] = []
        self._messages: dict[int | None, Message] = {}
        self._messages_id = ""

    def choose(self, prices: PriceTable) -> None:
        """Select the keys of the subscription. Call it again after new symbols."""
        self._messages.clear()
        chosen = prices.where(self.subscription.selection)
        self.keys = [(price.exchange, price.symbol) for price in chosen]

    def message(
        self, prices: PriceTable, known: int | None, fresh: list[Price] | None = None
    ) -> Message:
        """Return the changes for a client that knows batch `known`, or a snapshot if it is None.

        `fresh` has the changed prices if the caller knows them; otherwise they are searched.
        """
        id = prices.name(prices.id)
        if id != self._messages_id:
            self._messages_id = id
            self._messages.clear()
        if known not in self._messages:
            if len(self._messages) == MAX_MESSAGES:
                self._messages.clear()
            self._messages[known] = self._build(prices, id, known, fresh)
        return self._messages[known]

    def _build(
        self, prices: PriceTable, id: str, known: int | None, fresh: list[Price] | None
    ) -> Message:
        if known is None:
            return snapshot(id, map(prices.__getitem__, self.keys), self.subscription.fields)
        if fresh is None:
            fresh = [prices[key] for key in self.keys if prices[key].batch_id > known]
        return changes(id, prices.name(known), fresh, self.subscription.fields)
