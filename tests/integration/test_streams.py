"""Follow both kinds of stream against a real Postgres: subscriptions, resuming, heartbeats, outages."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import pytest
from jsonschema_rs import Draft202012Validator
from psycopg2.extensions import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from core.settings import Settings
from server.fields import MAX_REPEATS
from tests.support.event_stream import event_stream
from tests.support.live_job import (
    accept_any_time,
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import execute, no_connections
from tests.support.server import DEADLINE, ServerProcess, running_server

Message = dict[str, Any]
Query = Sequence[tuple[str, str]]
Receive = Callable[[], Message]
OpenStream = Callable[..., AbstractContextManager[Receive]]


@pytest.fixture
def server(database: Settings) -> Iterator[ServerProcess]:
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, 0)
        yield server


@contextmanager
def websocket(
    server: ServerProcess,
    query: Query = (),
    since: str | None = None,
    compression: Literal["deflate"] | None = None,
) -> Iterator[Receive]:
    query = [*query, ("since", since)] if since else query
    documented = documented_messages(server)
    with connect(f"{server.stream}?{urlencode(query)}", compression=compression) as client:
        yield lambda: documented(json.loads(client.recv(DEADLINE)))


@contextmanager
def events(
    server: ServerProcess, query: Query = (), since: str | None = None, encoding: str = "identity"
) -> Iterator[Receive]:
    documented = documented_messages(server)
    with event_stream(server.port, query, since, encoding) as stream:

        def receive() -> Message:
            message = documented(stream.receive())
            assert stream.last_event_id == message["id"]
            return message

        yield receive


def documented_messages(server: ServerProcess) -> Callable[[Message], Message]:
    """Return a function that returns a message if it is as /asyncapi.json describes it, in every field."""
    document = server.get("/asyncapi.json").json()
    components = document["components"]
    for schema in components["schemas"].values():
        schema["additionalProperties"] = False

    def documented(message: Message) -> Message:
        payload = components["messages"][message["type"]]["payload"]
        Draft202012Validator(payload | {"components": components}).validate(message)
        return message

    return documented


KINDS = pytest.mark.parametrize(
    "stream",
    [
        websocket,
        partial(websocket, compression="deflate"),
        events,
        partial(events, encoding="gzip"),
    ],
    ids=["websocket", "websocket compressed", "events", "events compressed"],
)


def news(receive: Receive) -> Message:
    """Return the next message that is no heartbeat: a busy server may send one before it."""
    while (message := receive())["type"] == "heartbeat":
        pass
    return message


def prices_in(message: Message) -> dict[str, str]:
    return {row["symbol"]: row["price"] for row in message["prices"]}


@KINDS
def test_a_stream_sends_only_what_was_subscribed_to_and_resumes_where_it_was(
    database: Settings, owner: connection, server: ServerProcess, stream: OpenStream
) -> None:
    list_instruments(
        owner,
        ("binance", "ADAEUR", "ADA", "EUR", "TRADING"),
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "币安人生-USDT", "币安人生", "USDT", "TRADING"),
    )

    def write(price: str) -> None:
        rows = [("binance", "ADAEUR"), ("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")]
        rows.append(("kucoin", "币安人生-USDT"))
        wait_for_batch(
            server, write_batch(database.database_url, [ticker(*row, price) for row in rows])
        )

    write("1")
    queries: dict[str, Query] = {
        "ADAEUR": [("quote", "EUR")],
        "BTCUSDT": [("exchange", "binance"), ("quote", "USDT")],
        "BTCUSDT ADAEUR": [("exchange", "binance")],
        "BTC-USDT": [("symbol", "BTC-USDT"), ("symbol", "none")],
        "ADAEUR 币安人生-USDT": [("symbol", "ADAEUR"), ("symbol", "币安人生-USDT")],
        "": [("exchange", "kucoin"), ("quote", "EUR")],
    }
    last_ids = {}
    for symbols, query in queries.items():
        with stream(server, query) as receive:
            snapshot = receive()
            assert snapshot["type"] == "snapshot"
            assert prices_in(snapshot) == dict.fromkeys(symbols.split(), "1")
            last_ids[symbols] = snapshot["id"]
    write("2")
    for symbols, query in queries.items():
        with stream(server, query, last_ids[symbols]) as receive:
            changes = receive()
            assert (changes["type"], changes["previous"]) == ("changes", last_ids[symbols])
            assert prices_in(changes) == dict.fromkeys(symbols.split(), "2")
    with stream(server, (), "00000000-1") as receive:
        assert receive()["type"] == "snapshot"


@KINDS
def test_the_running_candle_is_sent_with_each_change_of_a_named_symbol(
    database: Settings, owner: connection, server: ServerProcess, stream: OpenStream
) -> None:
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    accept_any_time(owner, "candles_1m")

    def write(price: str) -> None:
        rows = [
            ("binance", "BTCUSDT", minute - timedelta(minutes=age), *[price] * 4, 1, 2, age + 1)
            for age in range(3)
        ]
        execute(owner, "DELETE FROM candles_1m")
        insert(owner, "INSERT INTO candles_1m VALUES %s", rows)
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", price)])

    with stream(server, [("symbol", "BTCUSDT"), ("candles", "1m")]) as receive:
        assert receive()["candles"] == []
        write("1.50")
        candles = news(receive)["candles"]
        assert [each["start"][:16] for each in candles] == [
            (minute - timedelta(minutes=age)).isoformat()[:16] for age in (1, 0)
        ]
        candle = {"exchange": "binance", "symbol": "BTCUSDT", "interval": "1m"}
        amounts = dict.fromkeys(("open", "high", "low", "close"), "1.5")
        assert [each | {"start": None} for each in candles] == [
            candle | amounts | {"start": None, "updates": 2, "closed": True},
            candle | amounts | {"start": None, "updates": 1, "closed": False},
        ]
        write("2")
        assert [each["close"] for each in news(receive)["candles"]] == ["2", "2"]


@KINDS
def test_an_interruption_is_sent_when_it_begins_and_when_it_ends(
    database: Settings, owner: connection, server: ServerProcess, stream: OpenStream
) -> None:
    start = datetime(2025, 3, 28, 12, tzinfo=UTC)
    wait_for_batch(server, write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")]))
    with stream(server, [("events", "interruptions")]) as receive, stream(server) as plain:
        assert receive()["interruptions"] == []
        row = ("binance", "127.0.0.1", "interruption", "silence", start, None, 0)
        insert(owner, "INSERT INTO feed_events VALUES %s", [row])
        begun = news(receive)
        with owner.cursor() as cursor:
            cursor.execute('UPDATE feed_events SET "to" = %s', (start + timedelta(seconds=20),))
        ended = news(receive)

        assert (begun["type"], begun["exchange"], begun["reason"]) == (
            "interruption",
            "binance",
            "silence",
        )
        assert (begun["from"], begun["to"]) == ("2025-03-28T12:00:00.000000Z", None)
        assert (ended["from"], ended["to"]) == (begun["from"], "2025-03-28T12:00:20.000000Z")
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        assert [news(plain)["type"] for _ in range(2)] == ["snapshot", "changes"]


def test_postgres_may_go_and_come_back_under_open_streams(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    first = write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    wait_for_batch(server, first)
    with websocket(server) as by_websocket, events(server) as by_events:
        heard: list[list[Message]] = [[], []]
        both = list(zip((by_websocket, by_events), heard, strict=True))
        with no_connections(database, owner.info.dbname):
            for receive, messages in both:
                # Until Postgres is back, only the status is repeated.
                messages += [receive() for _ in range(3)]
                assert [message["type"] for message in messages] == ["snapshot", "status", "status"]
                assert [message["postgres"] for message in messages[1:]] == ["away", "away"]
                assert messages[2]["age_seconds"] > messages[1]["age_seconds"] + 4
            with websocket(server) as late:
                assert [late()["type"] for _ in range(2)] == ["snapshot", "status"]
        for receive, messages in both:
            while messages[-1].get("postgres") != "back":
                messages.append(receive())
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
        for receive, messages in both:
            while "prices" not in messages[-1]:
                messages.append(receive())
            assert prices_in(messages[-1]) == {"BTCUSDT": "2"}
            messages.append(receive())
            assert messages[-1]["type"] == "heartbeat"

    for messages in heard:
        assert [m["previous"] for m in messages[1:]] == [m["id"] for m in messages[:-1]]


def test_a_postgres_that_hangs_is_unavailable_and_read_by_another_connection(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with owner.cursor() as cursor, websocket(server) as receive:
        heard = [receive()]
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'server' AND datname = current_database()"
        )
        ((pid,),) = cursor.fetchall()
        os.kill(pid, signal.SIGSTOP)
        try:
            write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
            while not heard[-1].get("prices"):
                heard.append(receive())
        finally:
            os.kill(pid, signal.SIGCONT)

    assert [m["postgres"] for m in heard if m["type"] == "status"] == ["away", "back"]
    assert prices_in(heard[-1]) == {"BTCUSDT": "1"}


def test_a_wrong_subscription_is_refused_by_the_name_of_its_parameter(
    server: ServerProcess,
) -> None:
    for parameter, query in {
        "exchange": [("exchange", "kraken")],
        "symbol": [("candles", "1m"), *(("symbol", f"S{each}") for each in range(MAX_REPEATS + 1))],
        "qoute": [("qoute", "USDT")],
        "since": [("since", "x" * 65)],
        "fields": [("fields", "price,prise")],
        "candles": [("candles", "1m")],
        "events": [("events", "trades")],
        "status": [("status", "trading"), ("status", "halt")],
    }.items():
        answer = server.get(f"/stream?{urlencode(query)}")
        assert answer.status_code == 422
        assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{server.stream}?{urlencode(query)}")
        assert refused.value.response.status_code == 422
        assert json.loads(refused.value.response.body) == answer.json()
    assert (
        f"at most {MAX_REPEATS} items"
        in server.get("/stream?" + urlencode([("symbol", "A")] * (MAX_REPEATS + 1))).json()[
            "detail"
        ]
    )


def test_a_client_that_sends_messages_or_garbage_is_disconnected_and_no_other(
    database: Settings, server: ServerProcess
) -> None:
    with connect(server.stream) as quiet:
        quiet.recv(DEADLINE)
        for said, code in (("subscribe", 1003), (b"\0" * 4097, 1009)):
            with connect(server.stream) as loud:
                loud.send(said)
                with pytest.raises(ConnectionClosed) as closed:
                    while True:
                        loud.recv(DEADLINE)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code
        with connect(server.stream) as garbled:
            garbled.socket.sendall(b"\xff" * 100)
            with pytest.raises(ConnectionClosed):
                while True:
                    garbled.recv(DEADLINE)
        write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])

        changes = news(lambda: dict(json.loads(quiet.recv(DEADLINE))))
        assert prices_in(changes) == {"BTCUSDT": "1"}
