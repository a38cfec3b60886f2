"""Where the readings of the database become the streams of the clients."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

from server.state.price_table import Key, PriceTable, Reading
from server.state.prices import Price
from server.state.unreadable import Unreadable, mostly_unreadable
from server.streams.audience import Audience
from server.streams.client import Client, Traffic
from server.streams.message import Message, heartbeat, status, unreadable
from server.streams.subscription import Subscription

log = logging.getLogger(__name__)

CLOSER_LOOKS = 5
"""How often the clients are looked after while a quiet one waits for its heartbeat."""


class Hub:
    """The newest prices, and who gets which of them. It lives on the event loop's thread.

    A client who is ready gets what a batch changed of its subscription. One who is not, because
    its last message is still on the way, gets the latest state of all that changed meanwhile when
    it is. So it misses versions and no symbols, one message at most waits for it, and it slows
    nobody.
    """

    def __init__(self, *, heartbeat_after: float = 5.0, stalled_after: float = 30.0) -> None:
        """Seconds: without a message until a heartbeat, and without a byte taken until the end."""
        self.prices: PriceTable | None = None
        """None until the database was read for the first time."""
        self.away_since: datetime | None = None
        """Since when Postgres can't be read; None while it can."""
        self.unreadable: Mapping[str, Unreadable] = {}
        """Of each exchange that sent something in the last minute."""
        self.closed = asyncio.Event()
        self.traffic = {"ws": Traffic(), "sse": Traffic()}
        """By the kind of stream."""
        self._heartbeat_after = heartbeat_after
        self._stalled_after = stalled_after
        self._shares: dict[Subscription, Audience] = {}
        self._shares_of: defaultdict[Key, set[Audience]] = defaultdict(set)

    @contextmanager
    def serving(self, client: Client) -> Iterator[None]:
        """Meanwhile the hub writes to the client whenever it has something to say to it."""
        share = self._share_of(client.subscription)
        share.clients.add(client)
        client.traffic.clients += 1
        client.channel.on_ready = lambda: self._catch_up(share, client)
        try:
            if self.prices is not None:
                client.known = _resumed(self.prices, client)
                self._tell(self.prices, share, client)
            # The state comes last: a message without it means that Postgres is read.
            if mostly_unreadable(self.unreadable):
                self._tell_unreadable([client])
            if self.away_since is not None:
                self._tell_state([client])
            yield
        finally:
            client.channel.on_ready = None
            client.traffic.clients -= 1
            share.clients.remove(client)
            if not share.clients:
                del self._shares[share.subscription]
                for key in share.keys:
                    self._shares_of[key].discard(share)

    def publish(self, reading: Reading) -> None:
        """Tells each client what changed of its subscription, or all of it if all was read anew."""
        if self.prices is None or reading.previous is None:
            self._start(reading)
            return
        prices, number = self.prices, len(self.prices)
        prices.advance(reading)
        if len(prices) != number or reading.quotes is not None:
            self._choose()
        # Small messages first: they would wait longer for the large ones than those for them.
        touched = sorted(self._touched(reading).items(), key=lambda each: len(each[1]))
        for share, fresh in touched:
            for client in share.clients:
                self._tell(prices, share, client, fresh)

    def postgres_is_away(self, since: datetime) -> None:
        self.away_since = since
        self._tell_state(self._clients())

    def postgres_is_back(self) -> None:
        self.away_since = None
        self._tell_state(self._clients(), is_back=True)

    def last_minute(self, exchanges: Mapping[str, Unreadable]) -> None:
        """Keep what could not be read, and send all clients what changed of it where it is most."""
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
            self._tell_unreadable(self._clients())

    async def look_after_clients(self) -> None:
        """Until it is cancelled: heartbeats, and the end of those who read nothing."""
        while True:
            await asyncio.sleep(self._heartbeat_after / CLOSER_LOOKS)
            self._tell_state(
                client for client in self._clients() if client.quiet_for() >= self._heartbeat_after
            )
            for client in self._clients():
                if client.stalled_for() >= self._stalled_after:
                    log.info("a client read nothing for %.0f s: closed", client.stalled_for())
                    client.traffic.stalled += 1
                    client.channel.abort()

    def close(self) -> None:
        """Every stream ends."""
        self.closed.set()

    def _start(self, reading: Reading) -> None:
        is_first = self.prices is None
        self.prices = PriceTable(reading)
        self._choose()
        for share in self._shares.values():
            for client in share.clients:
                client.known = _resumed(self.prices, client) if is_first else None
                self._tell(self.prices, share, client)

    def _touched(self, reading: Reading) -> dict[Audience, list[Price]]:
        """What changed of each subscription, found by the symbols that changed."""
        touched: defaultdict[Audience, list[Price]] = defaultdict(list)
        for price in reading.prices:
            for share in self._shares_of[price.exchange, price.symbol]:
                touched[share].append(price)
        if reading.quotes is not None:
            # A price that belongs to one of these only now may have changed long ago.
            for share in self._shares.values():
                if share.subscription.quote is not None:
                    touched[share] = []
                    for client in share.clients:
                        client.known = None
        return touched

    def _share_of(self, subscription: Subscription) -> Audience:
        share = self._shares.get(subscription)
        if share is None:
            share = self._shares[subscription] = Audience(subscription)
            if self.prices is not None:
                share.choose(self.prices)
                for key in share.keys:
                    self._shares_of[key].add(share)
        return share

    def _choose(self) -> None:
        assert self.prices is not None
        self._shares_of.clear()
        for share in self._shares.values():
            share.choose(self.prices)
            for key in share.keys:
                self._shares_of[key].add(share)

    def _tell(
        self, prices: PriceTable, share: Audience, client: Client, fresh: list[Price] | None = None
    ) -> None:
        if client.is_ready:
            message = share.message(prices, client.known, fresh)
            client.known = prices.id
            client.send(message)
        else:
            # The first of them comes late, and each further one within a later one.
            client.traffic.conflated += client.is_behind
            client.is_behind = True

    def _catch_up(self, share: Audience, client: Client) -> None:
        if client.is_behind and self.prices is not None:
            client.is_behind = False
            self._tell(self.prices, share, client)
        if client.unreadable_is_due:
            self._tell_unreadable([client])
        if client.state_is_due:
            self._tell_state([client])

    def _tell_state(self, clients: Iterable[Client], *, is_back: bool = False) -> None:
        """Those who are not ready will hear what is so when they are."""
        now = datetime.now(UTC)
        message = cache(lambda known: self._state(known, now, is_back))
        for client in clients:
            client.state_is_due = not self._is_sent(client, message)

    def _tell_unreadable(self, clients: Iterable[Client]) -> None:
        """Clients that are not ready get the then current state once they are."""
        now = datetime.now(UTC)
        exchanges = mostly_unreadable(self.unreadable)
        message = cache(lambda known: unreadable(*self._place(known), now, exchanges))
        for client in clients:
            client.unreadable_is_due = not self._is_sent(client, message)

    def _is_sent(self, client: Client, message: Callable[[int | None], Message]) -> bool:
        """Send the message for what the client knows, if it is ready."""
        is_ready = client.is_ready
        if is_ready:
            client.send(message(client.known))
            client.known = None if self.prices is None else self.prices.id
        return is_ready

    def _place(self, known: int | None) -> tuple[str | None, str | None]:
        """The id and the previous id of a message without prices."""
        if self.prices is None or known is None:
            return None, None
        return self.prices.name(self.prices.id), self.prices.name(known)

    def _state(self, known: int | None, now: datetime, is_back: bool) -> Message:
        id, previous = self._place(known)
        if self.away_since is not None:
            return status(id, previous, now, "away", self.away_since)
        return status(id, previous, now, "back", now) if is_back else heartbeat(id, previous, now)

    def _clients(self) -> Iterator[Client]:
        return (client for share in self._shares.values() for client in share.clients)


def _resumed(prices: PriceTable, client: Client) -> int | None:
    """The batch that the client says it knows, if what changed since can be told."""
    known = prices.batch_named(client.since) if client.since is not None else None
    if known is None:
        return None
    # Up to there, the quotes may have been others.
    by_quote = client.subscription.quote is not None
    return None if by_quote and known <= prices.quotes_since else known
