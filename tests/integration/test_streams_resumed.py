"""Cut clients off repeatedly while Postgres is killed and restarted: they end with exactly the table."""

import json
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from typing import Any
from urllib.parse import urlencode

import psycopg2
import requests
from crypto_prices import Connected, Event, Prices
from psycopg2.extensions import connection
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from core.settings import Settings
from infra import supervision
from infra.stack import Stack
from server.state.prices import plain
from tests.support.cutting_relay import CuttingRelay, cutting_relay
from tests.support.event_stream import event_stream
from tests.support.live_job import batch_of, list_instruments, ticker, write_batch
from tests.support.server import running_server
from tests.support.waiting import wait_for

Key = tuple[str, str]
Message = dict[str, Any]
Query = list[tuple[str, str]]
OpenStream = Callable[[int, Query, str | None], Iterator[Message]]

DEADLINE = 180.0
BATCHES = int(os.environ.get("BATCHES", "80"))
"""Number of batches. `make soak-streams` writes 4,800 of them, which takes more than a minute."""
KEYS = [("binance", f"S{number}") for number in range(30)] + [
    ("kucoin", f"S{number}-T") for number in range(30)
]
QUERIES: list[Query] = [
    [],
    [("exchange", "kucoin")],
    [("quote", "USDT")],
    [("symbol", symbol) for _, symbol in KEYS[::7]],
]
ROWS = """
SELECT exchange, symbol, trim_scale(price)::text, sequence, batch_id, quote
FROM live_prices JOIN instruments USING (exchange, symbol)
"""


def websocket(port: int, query: Query, since: str | None) -> Iterator[Message]:
    query = [*query, ("since", since)] if since else query
    with connect(f"ws://127.0.0.1:{port}/ws?{urlencode(query)}", close_timeout=0) as client:
        yield from map(json.loads, client)


def events(port: int, query: Query, since: str | None) -> Iterator[Message]:
    with event_stream(port, query, since) as stream:
        while True:
            yield stream.receive()


class Follower:
    """A client that relies only on what docs/server.md guarantees of `id`, `previous` and snapshots."""

    def __init__(self, open_stream: OpenStream, query: Query) -> None:
        self.open_stream = open_stream
        self.query = query
        self.id: str | None = None
        self.rows: dict[Key, tuple[str, int, int]] = {}
        self.resumed = 0

    def follow(self, relay: CuttingRelay, last: Callable[[], int | None]) -> None:
        """Follow until the last batch is known. `last` returns None until that batch is written."""

        def known() -> int | None:
            """Connect once more. Return the batch that is known afterwards."""
            try:
                messages = self.open_stream(relay.port, self.query, self.id)
                for number, message in enumerate(messages):
                    # Only the first message shows whether the connection was resumed.
                    self.resumed += number == 0 and message["type"] == "changes"
                    self.take(message)
            except (WebSocketException, requests.RequestException, OSError, EOFError):
                # The connection was cut; the next one resumes.
                pass
            return batch_of(self.id) if self.id else None

        wait_for(
            known,
            lambda batch: batch is not None and (end := last()) is not None and batch >= end,
            deadline=DEADLINE,
            pause=0,
        )

    def take(self, message: Message) -> None:
        if message["type"] == "snapshot":
            self.rows.clear()
        else:
            assert message["previous"] == self.id, message
        self.id = message["id"]
        for row in message.get("prices", ()):
            key = row["exchange"], row["symbol"]
            self.rows[key] = row["price"], row["sequence"], row["batch_id"]


class ClientFollower:
    """The client in client/, which follows by itself."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.rows: dict[Key, tuple[str, int, int]] = {}
        self.resumed = 0

    def follow(self, relay: CuttingRelay, last: Callable[[], int | None]) -> None:
        """Follow until the last batch is known."""
        options: Any = defaultdict(list)
        for name, value in self.query:
            options[name].append(value)
        address = f"http://127.0.0.1:{relay.port}"
        with Prices(address, **options, on_event=self.count, open_timeout=DEADLINE) as prices:
            wait_for(
                lambda: batch_of(prices.id or ""),
                lambda batch: (end := last()) is not None and batch >= end,
                deadline=DEADLINE,
            )
            for key, price in prices.table().items():
                assert price.price is not None
                assert price.sequence is not None
                assert price.batch_id is not None
                self.rows[key] = plain(price.price), price.sequence, price.batch_id

    def count(self, event: Event) -> None:
        self.resumed += event == Connected(resumed=True)


def test_clients_that_are_cut_off_at_random_end_with_exactly_the_table(
    stack: Stack, database: Settings, owner: connection
) -> None:
    random = Random(7)
    quotes = {key: random.choice(["USDT", "BTC"]) for key in KEYS}
    list_instruments(owner, *[(*key, "S", quote, "TRADING") for key, quote in quotes.items()])
    owner.close()
    followers: list[Follower | ClientFollower] = [
        Follower(kind, query) for kind in (websocket, events) for query in QUERIES
    ]
    followers += map(ClientFollower, QUERIES)
    last: list[int] = []

    with (
        running_server(database.reader_database_url) as server,
        cutting_relay(server.port, random) as relay,
        ThreadPoolExecutor(len(followers)) as pool,
    ):
        following = [
            pool.submit(follower.follow, relay, lambda: last[0] if last else None)
            for follower in followers
        ]
        for number in range(1, BATCHES):
            write(database, random.sample(KEYS, 12), random, number)
            if number == BATCHES // 2:
                kill_postgres(stack)
        last.append(write(database, KEYS, random, BATCHES))
        for future in following:
            future.result()

    with closing(psycopg2.connect(database.database_url)) as postgres, postgres.cursor() as cursor:
        cursor.execute(ROWS)
        table = cursor.fetchall()
    assert len(table) == len(KEYS)
    for follower in followers:
        wanted = dict(follower.query)
        symbols = [value for name, value in follower.query if name == "symbol"]
        assert follower.rows == {
            (exchange, symbol): tuple(values)
            for exchange, symbol, *values, quote in table
            if wanted.get("exchange") in (None, exchange)
            and wanted.get("quote") in (None, quote)
            and (not symbols or symbol in symbols)
        }
        assert follower.resumed > 2
    assert relay.cuts > 10 * len(followers)


def write(database: Settings, keys: list[Key], random: Random, number: int) -> int:
    """Write one batch. Retry until Postgres accepts it."""
    rows = [ticker(*key, f"{random.randrange(1, 10**9)}.{number}", sequence=number) for key in keys]

    def written() -> int | psycopg2.OperationalError:
        try:
            return write_batch(database.database_url, rows)
        except psycopg2.OperationalError as error:
            return error

    batch_id = wait_for(written, lambda result: isinstance(result, int), pause=0.1)
    assert isinstance(batch_id, int)
    return batch_id


def kill_postgres(stack: Stack) -> None:
    """Kill Postgres with SIGKILL; the supervisor restarts it."""
    (pid,) = [each["pid"] for each in supervision.programs(stack) if each["name"] == "postgres"]
    os.kill(pid, signal.SIGKILL)
