"""Run the server against a real Postgres: REST and WebSocket return what the live job commits."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg2.extensions import connection
from websockets.sync.client import ClientConnection, connect

from core.settings import Settings
from tests.support.live_job import batch_of, ticker, write_batch
from tests.support.postgres import end_sessions, execute
from tests.support.server import DEADLINE, ServerProcess, running_server
from tests.support.waiting import wait_for

Message = dict[str, Any]
Key = tuple[str, str]


@pytest.fixture
def server(database: Settings) -> Iterator[ServerProcess]:
    with running_server(database.reader_database_url) as server:
        yield server


@contextmanager
def client_of(server: ServerProcess, **options: Any) -> Iterator[ClientConnection]:
    with connect(server.stream, max_size=None, compression=None, **options) as client:
        yield client


def receive(client: ClientConnection) -> Message:
    """Return the next message with prices."""
    while "prices" not in (message := dict(json.loads(client.recv(DEADLINE)))):
        pass
    return message


def prices_in(message: Message) -> dict[Key, str]:
    return {(row["exchange"], row["symbol"]): row["price"] for row in message["prices"]}


def prices_after(messages: list[Message]) -> dict[Key, str]:
    """Return the prices of a client after these messages; each must continue the one before."""
    assert messages[0]["type"] == "snapshot"
    assert [m["previous"] for m in messages[1:]] == [m["id"] for m in messages[:-1]]
    return {key: price for message in messages for key, price in prices_in(message).items()}


def receive_until(client: ClientConnection, batch_id: int) -> list[Message]:
    messages = [receive(client)]
    while batch_of(messages[-1]["id"]) < batch_id:
        messages.append(receive(client))
    return messages


def type_and_batches(message: Message) -> tuple[str, int, int | None]:
    """Return the message's type, its batch and the batch of `previous`."""
    previous = message["previous"]
    return message["type"], batch_of(message["id"]), previous and batch_of(previous)


def test_every_digit_of_a_price_arrives(database: Settings, server: ServerProcess) -> None:
    amounts = {
        "price": "0.00000001",
        "bid": "0.123456789012345678",
        "ask": "85439.99000000",
        "base_volume_24h": "99999999999999999999.999999999999999999",
        "quote_volume_24h": "12345678901234567890",
        "low_24h": "0.000000000000000001",
    }
    with client_of(server) as client:
        receive(client)
        batch_id = write_batch(database.database_url, [ticker("binance", "BTCUSDT", **amounts)])
        (streamed,) = receive(client)["prices"]

    answer = server.get("/api/prices").json()

    assert batch_of(answer.pop("id")) == batch_id
    assert answer == {"previous": None, "prices": [streamed]}
    assert {name: streamed[name] for name in amounts} == amounts | {"ask": "85439.99"}
    assert streamed["bid_size"] is None


def test_a_price_can_be_traced_to_its_message(database: Settings, server: ServerProcess) -> None:
    place = {"topic": "kucoin_raw_data", "partition": 3, "offset": 2**40, "position": 17}
    times = {"event_time": "2025-03-28 07:37:28.467+00", "received_at": "2025-03-28 09:37:28.5+02"}
    with client_of(server) as client:
        receive(client)
        row = ticker("kucoin", "CRO-USDT", "0.10605", sequence=186911324, **place, **times)
        batch_id = write_batch(database.database_url, [row])
        (price,) = receive(client)["prices"]

    expected = place | {
        "event_time": "2025-03-28T07:37:28.467000Z",
        "received_at": "2025-03-28T07:37:28.500000Z",
        "sequence": 186911324,
        "batch_id": batch_id,
    }
    assert {name: price[name] for name in expected} == expected


def test_a_stream_is_a_snapshot_and_then_what_each_batch_changed(
    database: Settings, server: ServerProcess
) -> None:
    with client_of(server) as early:
        assert type_and_batches(receive(early)) == ("snapshot", 0, None)
        first = write_batch(
            database.database_url,
            [ticker("binance", "BTCUSDT", "1"), ticker("kucoin", "BTC-USDT", "2")],
        )
        both = {("binance", "BTCUSDT"): "1", ("kucoin", "BTC-USDT"): "2"}
        changes = receive(early)
        assert type_and_batches(changes) == ("changes", first, 0)
        assert prices_in(changes) == both

        with client_of(server) as late:
            snapshot = receive(late)
            assert type_and_batches(snapshot) == ("snapshot", first, None)
            assert prices_in(snapshot) == both

            second = write_batch(database.database_url, [ticker("kucoin", "BTC-USDT", "3")])
            changes = receive(late)
            assert type_and_batches(changes) == ("changes", second, first)
            assert prices_in(changes) == {("kucoin", "BTC-USDT"): "3"}
            assert receive(early) == changes


def test_prices_are_filtered_by_exchange_and_symbol(
    database: Settings, server: ServerProcess
) -> None:
    with client_of(server) as client:
        receive(client)
        write_batch(
            database.database_url,
            [
                ticker("binance", "BTCUSDT", "1"),
                ticker("binance", "币安人生USDT", "0.1234"),
                ticker("kucoin", "BTC-USDT", "2"),
            ],
        )
        assert prices_in(receive(client))["binance", "币安人生USDT"] == "0.1234"

    def ask(**which: str) -> dict[Key, str]:
        return prices_in(server.get("/api/prices", **which).json())

    assert ask(exchange="kucoin") == {("kucoin", "BTC-USDT"): "2"}
    assert ask(symbol="币安人生USDT") == {("binance", "币安人生USDT"): "0.1234"}
    assert ask(exchange="binance", symbol="BTCUSDT") == {("binance", "BTCUSDT"): "1"}
    assert ask(exchange="kucoin", symbol="BTCUSDT") == {}


def test_a_price_says_whether_it_is_simulated(database: Settings, server: ServerProcess) -> None:
    endpoints = {"A": "stream.binance.com", "B": "127.0.0.1", "C": "binance.com.example", "D": None}
    with client_of(server) as client:
        receive(client)
        rows = [ticker("binance", symbol, "1", endpoint=host) for symbol, host in endpoints.items()]
        write_batch(database.database_url, rows)
        prices = receive(client)["prices"]

    assert {p["symbol"]: p["endpoint"] for p in prices} == endpoints
    assert {p["symbol"]: p["simulated"] for p in prices} == {
        "A": False,
        "B": True,
        "C": True,
        "D": True,
    }


def test_a_lost_connection_to_postgres_costs_a_stream_nothing(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with client_of(server) as client:
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
        receive_until(client, 1)
        for price in ("2", "3", "4"):
            end_sessions(owner, "server")
            batch_id = write_batch(database.database_url, [ticker("binance", "BTCUSDT", price)])

            changes = receive(client)

            assert type_and_batches(changes) == ("changes", batch_id, batch_id - 1)
            assert prices_in(changes) == {("binance", "BTCUSDT"): price}
    assert server.get("/healthz").status_code == 200


def test_another_database_is_read_from_its_start(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with client_of(server) as client:
        write_batch(database.database_url, [ticker("binance", "OLD", "1")])
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        receive_until(client, 2)
        execute(owner, "TRUNCATE batches, live_prices RESTART IDENTITY")
        assert write_batch(database.database_url, [ticker("binance", "BTCUSDT", "3")]) == 1

        messages = receive_until(client, 1)

    # A server that reads between the two statements sends a snapshot of the empty tables, then the change.
    assert [type_and_batches(message) for message in messages] in (
        [("snapshot", 1, None)],
        [("snapshot", 0, None), ("changes", 1, 0)],
    )
    assert prices_in(messages[-1]) == {("binance", "BTCUSDT"): "3"}
    assert prices_in(server.get("/api/prices").json()) == prices_in(messages[-1])


def test_the_server_waits_for_tables_that_are_not_there_yet(
    database: Settings, owner: connection
) -> None:
    execute(owner, "ALTER TABLE live_prices RENAME TO not_yet")
    with running_server(database.reader_database_url) as server, client_of(server) as client:
        assert server.get("/api/prices").status_code == 503

        execute(owner, "ALTER TABLE not_yet RENAME TO live_prices")

        assert type_and_batches(receive(client)) == ("snapshot", 0, None)


def test_a_server_that_can_no_longer_read_is_not_healthy(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    execute(owner, "ALTER TABLE live_prices ALTER endpoint TYPE integer USING 1")
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1", endpoint=1)])

    answer = wait_for(lambda: server.get("/healthz"), lambda answer: answer.status_code != 200)
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database listener has stopped"


def test_clients_that_come_at_any_moment_end_with_the_table(
    database: Settings, server: ServerProcess
) -> None:
    symbols = [f"S{number}" for number in range(10)]
    last = 40

    def follow() -> list[Message]:
        with client_of(server) as client:
            return receive_until(client, last)

    with ThreadPoolExecutor(last) as clients:
        following = []
        for number in range(last):
            following.append(clients.submit(follow))
            rows = [ticker("binance", symbol, str(number)) for symbol in symbols[number % 7 :: 3]]
            write_batch(database.database_url, rows)
        heard = [each.result() for each in following]
    with client_of(server) as client:
        table = prices_in(receive(client))

    assert len(table) == len(symbols)
    assert all(prices_after(messages) == table for messages in heard)
    # The clients did not all come before the first batch, or after the last.
    assert len({messages[0]["id"] for messages in heard}) > 2


def test_a_slow_client_misses_versions_but_no_price_and_slows_nobody(
    database: Settings, server: ServerProcess
) -> None:
    symbols = [f"S{number}" for number in range(2000)]
    last = 16
    small = socket.socket()
    # A small buffer, so that the kernel does not receive on behalf of the slow client.
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    small.connect(("127.0.0.1", server.port))
    with client_of(server) as quick, client_of(server, sock=small, max_queue=1) as slow:
        heard_by_quick = [receive(quick)]
        for number in range(1, last + 1):
            rows = [ticker("binance", symbol, str(number)) for symbol in symbols]
            write_batch(database.database_url, rows)
            heard_by_quick.append(receive(quick))
        heard_by_slow = receive_until(slow, last)

    table = {("binance", symbol): str(last) for symbol in symbols}
    assert [batch_of(message["id"]) for message in heard_by_quick] == list(range(last + 1))
    assert prices_after(heard_by_quick) == table
    assert prices_after(heard_by_slow) == table
    assert len(heard_by_slow) < len(heard_by_quick)


def test_a_client_that_vanishes_hurts_nobody(database: Settings, server: ServerProcess) -> None:
    with client_of(server) as client:
        receive(client)
        with client_of(server) as vanishing:
            receive(vanishing)
            vanishing.socket.shutdown(socket.SHUT_RDWR)
        for number in (1, 2):
            write_batch(database.database_url, [ticker("binance", "BTCUSDT", str(number))])
            assert prices_in(receive(client)) == {("binance", "BTCUSDT"): str(number)}
