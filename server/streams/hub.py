"""Turn readings of the database into messages to the clients of all streams."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from itertools import product

from exchanges import EXCHANGE
from server.state.interruptions import Interruption, changed, ongoing
from server.state.price_table import Key, PriceTable, Reading
from server.state.prices import Price
from server.state.unreadable import Unreadable, mostly_unreadable
from server.streams.audience import Audience
from server.streams.client import Client, Traffic
from server.streams.message import Message
from server.streams.message_types import Position, heartbeat, interruption, status, unreadable
from server.streams.subscription import Subscription

log = logging.getLogger(__name__)

CHECKS_PER_HEARTBEAT = 5
"""Number of client checks per heartbeat interval."""


class Hub:
    """The newest prices, and the clients that get them. Use it only on the event loop's thread.

    A client is ready once its last message has been sent. A client that is ready gets each batch's
    changes to the prices in its subscription. A client that was not ready gets the latest version of
    everything that changed meanwhile as soon as it is ready. So a slow client misses versions but no
    symbols, at most one message waits for it, and it slows no other client.
    """

    def __init__(self, *, heartbeat_after: float = 5.0, stalled_after: float = 30.0) -> None:
        """Both times are in seconds.

        A client gets a heartbeat after `heartbeat_after` without a message. It is closed as stalled
        after `stalled_after` in which it read no byte although bytes were waiting.
        """
        self.prices: PriceTable | None = None
        """None before the first reading of the database."""
        self.away_since: datetime | None = None
        """Start of the current outage of Postgres; None while it is available."""
        self._back_since = datetime.now(UTC)
        """End of the last outage; before the first, the start of the hub."""
        self.unreadable: Mapping[str, Unreadable] = {}
        """Unreadable share of each exchange that sent anything in the last minute."""
        self.candles_wanted: frozenset[Key] = frozenset()
        """Symbols whose candles a client follows. Another thread may read it."""
        self._interruptions: list[Interruption] = []
        self.closed = asyncio.Event()
        self.traffic = {"ws": Traffic(), "sse": Traffic()}
        """Counters by kind of stream."""
        self._heartbeat_after = heartbeat_after
        self._stalled_after = stalled_after
        self._audiences: dict[Subscription, Audience] = {}
        self._audiences_of: defaultdict[Key, set[Audience]] = defaultdict(set)

    @contextmanager
    def serving(self, client: Client) -> Iterator[None]:
        """Send the client everything in its subscription until the context ends."""
        audience = self._audience_of(client.subscription)
        audience.clients.add(client)
        client.traffic.clients += 1
        client.channel.on_ready = lambda: self._catch_up(audience, client)
        try:
            if self.prices is not None:
                client.known = _batch_to_resume(self.prices, client)
                self._send_prices(self.prices, audience, client)
            # Send the status last: a client takes a later message of another type as a sign that
            # Postgres is available.
            if mostly_unreadable(self.unreadable):
                self._send_unreadable([client])
            if self.away_since is not None:
                self._send_state([client])
            yield
        finally:
            client.channel.on_ready = None
            client.traffic.clients -= 1
            audience.clients.remove(client)
            if not audience.clients:
                del self._audiences[audience.subscription]
                for key in audience.keys:
                    self._audiences_of[key].discard(audience)
                self._choose_candles()

    def publish(self, reading: Reading) -> None:
        """Send each client the changes to its subscription, or a snapshot if all rows were read."""
        if self.prices is None or reading.previous is None:
            self._start(reading)
            return
        prices, count = self.prices, len(self.prices)
        prices.advance(reading)
        if len(prices) != count:
            self._choose_keys()
        # Send small messages first so they do not queue behind large ones.
        changed = sorted(self._changed(reading).items(), key=lambda each: len(each[1]))
        for audience, fresh in changed:
            for client in audience.clients:
                self._send_prices(prices, audience, client, fresh)

    def postgres_is_away(self, since: datetime) -> None:
        self.away_since = since
        self._send_state(self._clients())

    def postgres_is_back(self) -> None:
        self.away_since, self._back_since = None, datetime.now(UTC)
        self._send_state(self._clients())

    def feeds_read(
        self, unreadable: Mapping[str, Unreadable], interruptions: list[Interruption]
    ) -> None:
        """Send what changed in the feeds since the last call."""
        self.last_minute(unreadable)
        self.interrupted(interruptions)

    def interrupted(self, interruptions: list[Interruption]) -> None:
        """Store the newest interruptions, and send the changed ones to the clients that want them."""
        news = changed(self._interruptions, interruptions)
        self._interruptions = interruptions
        if not news:
            return
        for audience in self._audiences.values():
            audience.set_ongoing(ongoing(interruptions))
            for about in filter(audience.hears_of, news):
                for client in audience.clients:
                    client.interruptions_due[about.exchange, about.start] = about
                    self._send_interruptions(client)

    def last_minute(self, exchanges: Mapping[str, Unreadable]) -> None:
        """Store the shares, and send the mostly unreadable exchanges to all clients if they changed."""
        before = mostly_unreadable(self.unreadable)
        now = mostly_unreadable(exchanges)
        self.unreadable = exchanges
        for exchange in now.keys() - before:
            found = exchanges[exchange]
            log.warning(
                "unreadable exchange=%s share=%s cause=%r", exchange, found.share, found.cause
            )
        for exchange in before.keys() - now:
            log.info("readable again exchange=%s", exchange)
        if now != before:
            self._send_unreadable(self._clients())

    async def check_clients(self) -> None:
        """Send heartbeats and close stalled clients, until cancelled."""
        while True:
            await asyncio.sleep(self._heartbeat_after / CHECKS_PER_HEARTBEAT)
            self._send_state(
                client for client in self._clients() if client.quiet_for() >= self._heartbeat_after
            )
            for client in self._clients():
                if client.stalled_for() >= self._stalled_after:
                    log.info("client closed reason=stalled seconds=%.0f", client.stalled_for())
                    client.traffic.stalled += 1
                    client.channel.abort()

    def close(self) -> None:
        """End every stream."""
        self.closed.set()

    def _start(self, reading: Reading) -> None:
        is_first = self.prices is None
        self.prices = PriceTable(reading)
        self._choose_keys()
        for audience in self._audiences.values():
            for client in audience.clients:
                client.known = _batch_to_resume(self.prices, client) if is_first else None
                self._send_prices(self.prices, audience, client)

    def _changed(self, reading: Reading) -> dict[Audience, list[Price]]:
        """Return the changed prices of each subscription, looked up by the changed symbols."""
        changed: defaultdict[Audience, list[Price]] = defaultdict(list)
        for price in reading.prices:
            for audience in self._audiences_of[price.exchange, price.symbol]:
                changed[audience].append(price)
        return changed

    def _audience_of(self, subscription: Subscription) -> Audience:
        audience = self._audiences.get(subscription)
        if audience is None:
            audience = self._audiences[subscription] = Audience(subscription)
            audience.set_ongoing(ongoing(self._interruptions))
            if self.prices is not None:
                audience.choose(self.prices)
                for key in audience.keys:
                    self._audiences_of[key].add(audience)
            self._choose_candles()
        return audience

    def _choose_candles(self) -> None:
        self.candles_wanted = frozenset(
            key
            for subscription in self._audiences
            if subscription.candles
            for key in product(EXCHANGE, subscription.selection.symbols)
        )

    def _choose_keys(self) -> None:
        assert self.prices is not None
        self._audiences_of.clear()
        for audience in self._audiences.values():
            audience.choose(self.prices)
            for key in audience.keys:
                self._audiences_of[key].add(audience)

    def _send_prices(
        self,
        prices: PriceTable,
        audience: Audience,
        client: Client,
        fresh: list[Price] | None = None,
    ) -> None:
        if client.is_ready:
            message = audience.message(prices, client.known, fresh, client.missed)
            client.known = prices.id
            client.missed = 0
            client.send(message)
        else:
            # The first batch that a client misses is only late; each further one is merged with it.
            client.traffic.conflated += client.is_behind
            client.is_behind = True
            client.missed += len(fresh or ())

    def _catch_up(self, audience: Audience, client: Client) -> None:
        # After its first prices, a client takes any other message as a sign that no exchange is unreadable.
        if client.unreadable_is_due and client.known is not None:
            self._send_unreadable([client])
        # A client takes an interruption that a snapshot lacks as ended at the snapshot's time.
        self._send_interruptions(client)
        if client.is_behind and client.is_ready and self.prices is not None:
            client.is_behind = False
            self._send_prices(self.prices, audience, client)
        if client.unreadable_is_due:
            self._send_unreadable([client])
        if client.state_is_due:
            self._send_state([client])

    def _send_state(self, clients: Iterable[Client]) -> None:
        """Send a heartbeat or a status. A client that is not ready gets the current one once it is."""
        now = datetime.now(UTC)
        message = cache(partial(self._state_message, now))
        for client in clients:
            is_sent = self._send_if_ready(client, partial(message, client.knows_of_outage))
            client.state_is_due = not is_sent
            if is_sent:
                client.knows_of_outage = self.away_since is not None

    def _send_unreadable(self, clients: Iterable[Client]) -> None:
        """Send the mostly unreadable exchanges. A client that is not ready gets them once it is."""
        now = datetime.now(UTC)
        exchanges = mostly_unreadable(self.unreadable)
        message = cache(lambda known: unreadable(self._unchanged_position(known, now), exchanges))
        for client in clients:
            client.unreadable_is_due = not client.is_ready
            if client.is_ready:
                client.send(message(client.known))

    def _send_interruptions(self, client: Client) -> None:
        """Send the due interruptions while the client is ready."""
        due = client.interruptions_due
        while due and client.is_ready:
            about = due.pop(next(iter(due)))
            position = self._unchanged_position(client.known, datetime.now(UTC))
            client.send(interruption(position, about))

    def _send_if_ready(self, client: Client, message: Callable[[int | None], Message]) -> bool:
        """Send the message if the client is ready, and return whether it was."""
        is_ready = client.is_ready
        if is_ready:
            self._send_now(client, message(client.known))
        return is_ready

    def _send_now(self, client: Client, message: Message) -> None:
        """Send a message without prices, whose id is that of the newest state."""
        client.known = None if self.prices is None else self.prices.id
        client.send(message)

    def _position(self, known: int | None, now: datetime) -> Position:
        """Return the position of a message without prices."""
        if self.prices is None or known is None:
            return Position(None, None, now)
        return Position(self.prices.name(self.prices.id), self.prices.name(known), now)

    def _unchanged_position(self, known: int | None, now: datetime) -> Position:
        """Return the position of a message that may precede the changes since `known`."""
        if self.prices is None or known is None:
            return Position(None, None, now)
        return Position(self.prices.name(known), self.prices.name(known), now)

    def _state_message(self, now: datetime, knows_of_outage: bool, known: int | None) -> Message:
        position = self._position(known, now)
        if self.away_since is not None:
            return status(position, "away", self.away_since)
        return (
            status(position, "back", self._back_since) if knows_of_outage else heartbeat(position)
        )

    def _clients(self) -> Iterator[Client]:
        return (client for audience in self._audiences.values() for client in audience.clients)


def _batch_to_resume(prices: PriceTable, client: Client) -> int | None:
    """Return the batch to resume from, or None if the client needs a snapshot."""
    return None if client.since is None else prices.batch_of_id(client.since)
