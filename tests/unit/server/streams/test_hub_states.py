"""Whatever happens to a client, it ends with exactly the rows of its subscription."""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.state.price_table import Key, Reading
from server.state.prices import Price
from server.state.selection import Selection
from server.state.unreadable import Unreadable, mostly_unreadable
from server.streams.hub import Hub
from server.streams.subscription import Subscription
from tests.support.live_job import price
from tests.support.wire import Wire, client_on

KEYS: list[Key] = [
    (exchange, symbol) for exchange in ("binance", "kucoin") for symbol in ("A", "B", "C")
]
SUBSCRIPTIONS = [
    Subscription(),
    Subscription(Selection(exchanges=frozenset(["kucoin"]))),
    Subscription(Selection(quotes=frozenset(["eur"]))),
    Subscription(Selection(symbols=frozenset(["A", "C"]))),
    Subscription(
        Selection(frozenset(["binance"]), quotes=frozenset(["usdt"]), symbols=frozenset(["A", "B"]))
    ),
]

some_keys = st.lists(st.sampled_from(KEYS), unique=True, max_size=4)
some_client = st.integers(0, len(SUBSCRIPTIONS) - 1)


class OneClient:
    """Client that follows only the protocol: `previous` continues a state, a snapshot replaces it."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.connection: ExitStack | None = None
        self.wire = Wire()
        self.id: str | None = None
        self.prices: dict[Key, str] = {}
        self.unreadable: list[dict[str, Any]] = []
        """Exchanges in this connection's last `unreadable` message; none before the first."""
        self.postgres = "back"
        """State in this connection's last `status`; `back` before the first."""

    def connect(self, hub: Hub) -> None:
        self.wire, self.connection = Wire(), ExitStack()
        self.unreadable, self.postgres = [], "back"
        client = client_on(self.wire, self.subscription, self.id)
        self.connection.enter_context(hub.serving(client))

    def leave(self) -> None:
        """Disconnect. Messages still in transit are lost."""
        self.listen()
        if self.connection:
            self.connection.close()
            self.connection = None

    def listen(self) -> None:
        for message in self.wire.messages():
            if message["type"] == "unreadable":
                self.unreadable = message["exchanges"]
            if message["type"] == "status":
                self.postgres = message["postgres"]
            if message["id"] is None:
                # The server has not read the database yet.
                continue
            if message["type"] == "snapshot":
                self.prices.clear()
            else:
                assert message["previous"] == self.id
            self.id = message["id"]
            self.prices |= {
                (row["exchange"], row["symbol"]): row["price"] for row in message.get("prices", ())
            }


class Streams(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(heartbeat_after=0)
        self.clients = [OneClient(subscription) for subscription in SUBSCRIPTIONS]
        self.epoch = 0
        self.batch = 0
        self.table: dict[Key, tuple[str, int]] = {}
        self.quotes: dict[Key, str] = {}
        self.is_read = False

    @rule(keys=some_keys, batches=st.integers(1, 3))
    def write(self, keys: list[Key], batches: int) -> None:
        """Write `batches` batches, which are read at once."""
        previous = self.batch
        for _ in range(batches):
            self.batch += 1
            self.table |= {key: (f"{self.epoch}.{self.batch}", self.batch) for key in keys}
        self.publish(previous if self.is_read else None)

    @rule(keys=some_keys)
    def change_instruments(self, keys: list[Key]) -> None:
        self.epoch += 1
        self.quotes = {key: "EUR" if key in keys else "USDT" for key in KEYS}
        self.publish(None)

    @rule(keys=some_keys, batch=st.integers(0, 5))
    def replace_database(self, keys: list[Key], batch: int) -> None:
        self.epoch += 1
        self.batch = batch
        self.table = {key: (f"{self.epoch}.{batch}", batch) for key in keys}
        self.publish(None)

    @precondition(lambda self: self.is_read)
    @rule()
    def restart_server(self) -> None:
        for client in self.clients:
            client.leave()
        self.hub, self.is_read = Hub(heartbeat_after=0), False

    @rule(which=some_client)
    def connect(self, which: int) -> None:
        self.clients[which].leave()
        self.clients[which].connect(self.hub)

    @rule(which=some_client)
    def leave(self, which: int) -> None:
        self.clients[which].leave()

    @rule(which=some_client)
    def get_stuck(self, which: int) -> None:
        self.clients[which].wire.is_stuck = True

    @rule(which=some_client)
    def read(self, which: int) -> None:
        self.clients[which].wire.read()

    @rule()
    def lose_postgres(self) -> None:
        self.hub.postgres_is_away(datetime.now(UTC))

    @rule()
    def find_postgres(self) -> None:
        self.hub.postgres_is_back()

    @rule(exchange=st.sampled_from(["binance", "kucoin"]), share=st.sampled_from([0.5, 0.6, 1.0]))
    def look_at_the_last_minute(self, exchange: str, share: float) -> None:
        self.hub.last_minute({exchange: Unreadable(share=share, cause="price is absent")})

    @invariant()
    def every_reading_client_knows_the_unreadable_exchanges(self) -> None:
        expected = [
            {"exchange": exchange, "share": found.share, "cause": found.cause}
            for exchange, found in mostly_unreadable(self.hub.unreadable).items()
        ]
        for client in self.clients:
            client.listen()
            if client.connection is not None and not client.wire.waiting:
                assert client.unreadable == expected

    @invariant()
    def every_reading_client_knows_whether_postgres_is_available(self) -> None:
        expected = "back" if self.hub.away_since is None else "away"
        for client in self.clients:
            client.listen()
            if client.connection is not None and not client.wire.waiting:
                assert client.postgres == expected

    @invariant()
    def every_reading_client_has_its_rows(self) -> None:
        for client in self.clients:
            client.listen()
            reads = client.connection is not None and not client.wire.waiting
            if reads and self.is_read:
                expected = {
                    key: amount
                    for key, (amount, _) in self.table.items()
                    if client.subscription.selection.matches(self.price(key))
                }
                assert client.prices == expected

    def publish(self, previous: int | None) -> None:
        changed = [
            self.price(key)
            for key, (_, batch) in self.table.items()
            if previous is None or batch > previous
        ]
        self.is_read = True
        self.hub.publish(Reading(f"e{self.epoch}", self.batch, previous, changed))

    def price(self, key: Key) -> Price:
        amount, batch = self.table[key]
        return price(*key, amount, batch_id=batch, quote=self.quotes.get(key))

    def teardown(self) -> None:
        for client in self.clients:
            client.leave()


TestStreams = Streams.TestCase
TestStreams.settings = settings(max_examples=200, stateful_step_count=40)
