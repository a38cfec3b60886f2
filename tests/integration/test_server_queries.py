"""Request what the server reads from Postgres per answer: instruments and feeds, also during outages."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from server.rest.query_connection import DEADLINE, QueryConnection
from server.state.interruptions import recent_interruptions
from server.state.listener import connect
from tests.support.live_job import (
    accept_any_time,
    batch_of,
    insert,
    list_instruments,
    ticker,
    wait_for_batch,
    write_batch,
)
from tests.support.postgres import execute, no_connections, rows
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database
from tests.support.waiting import wait_for

SEEN = datetime(2025, 3, 28, 7, 37, 28, 467000, UTC)
START = datetime(2025, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)

QUERIES = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'server queries' AND datname = %s"
)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(scope="module")
def server(database: Settings) -> Iterator[ServerProcess]:
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, 0)
        yield server


@pytest.fixture(autouse=True)
def empty_tables(owner: connection) -> None:
    """Empty the tables before each test. The server reads them again for every answer."""
    with owner.cursor() as cursor:
        cursor.execute("TRUNCATE instruments, feed_events")


def insert_events(owner: connection, *events: tuple[Any, ...]) -> None:
    insert(owner, "INSERT INTO feed_events VALUES %s", events)


def backend_of_queries(owner: connection) -> int:
    ((pid,),) = rows(owner, QUERIES, owner.info.dbname)
    return int(pid)


def test_the_connection_that_reads_prices_has_a_statement_timeout(database: Settings) -> None:
    with closing(connect(database.reader_database_url)) as opened:
        assert rows(opened, "SHOW statement_timeout") == [("5s",)]
        assert rows(opened, "SHOW transaction_isolation") == [("repeatable read",)]


def test_instruments_are_filtered_and_in_order(owner: connection, server: ServerProcess) -> None:
    list_instruments(
        owner,
        ("kucoin", "BCHSV-USDT", "BSV", "USDT", "TRADING"),
        ("binance", "币安人生USDT", "币安人生", "USDT", "TRADING"),
        ("binance", "ADAEUR", "ADA", "EUR", "BREAK"),
        ("kucoin", "ADA-EUR", "ADA", "EUR", "TRADING"),
        seen_at=SEEN,
    )

    def symbols(**which: str) -> list[str]:
        answer = server.get("/api/instruments", **which).json()
        return [each["symbol"] for each in answer["instruments"]]

    assert symbols() == ["ADAEUR", "币安人生USDT", "ADA-EUR", "BCHSV-USDT"]
    assert symbols(exchange="binance", base="ADA") == ["ADAEUR"]
    assert symbols(base="币安人生") == ["币安人生USDT"]
    assert symbols(quote="EUR", status="TRADING") == ["ADA-EUR"]
    assert symbols(quote="eur", status="trading") == ["ADA-EUR"]
    assert symbols(base="'; DROP TABLE instruments; --") == []
    assert server.get("/api/instruments", base="BSV").json() == {
        "instruments": [
            {
                "exchange": "kucoin",
                "symbol": "BCHSV-USDT",
                "base": "BSV",
                "quote": "USDT",
                "status": "TRADING",
                "seen_at": "2025-03-28T07:37:28.467000Z",
            }
        ]
    }


@pytest.mark.parametrize("value", ["", "x" * 65, "BTC\x00"])
def test_a_name_that_can_not_be_is_refused(server: ServerProcess, value: str) -> None:
    answer = server.get("/api/instruments", base=value)

    assert answer.status_code == 422
    assert [(e["parameter"], e["value"]) for e in answer.json()["errors"]] == [("base", value)]


def test_a_feed_lists_its_newest_events_and_the_open_interruption(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    inserted = [
        ("kucoin", None, "interruption", "start", START, None, 0),
        ("kucoin", "h", "interruption", "silence", START + SECOND, None, 0),
        *(
            ("kucoin", "h", "connection", "reset", START + n * SECOND, START + n * SECOND, 7)
            for n in range(2, 14)
        ),
        ("binance", None, "interruption", "start", START, START + SECOND, 0),
        ("binance", "h", "connection", None, START + SECOND, None, 0),
    ]
    insert_events(owner, *inserted)
    received_at = datetime.now(UTC)
    batch_id = write_batch(
        database.database_url,
        [
            ticker("binance", "A", "1", received_at=received_at),
            ticker("binance", "B", "1", received_at=received_at - 9 * SECOND),
        ],
    )
    wait_for_batch(server, batch_id)

    answer = server.get("/api/feeds").json()

    assert batch_of(answer["id"]) == batch_id
    binance, kucoin = answer["feeds"]
    # Binance's connection has been open since March 2025.
    assert [day["condition"] for day in kucoin.pop("days")] == ["missing"] * 8
    assert [day["condition"] for day in binance.pop("days")] == ["complete"] * 8
    assert 0 <= binance.pop("age_seconds") < 60
    assert binance == {
        "exchange": "binance",
        "title": "Binance",
        "endpoint": "127.0.0.1",
        "simulated": True,
        "newest_price_at": received_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "symbols": 2,
        "pairs": 0,
        "unreadable": None,
        "interruption": None,
        "events": [
            event("connection", None, 1, None, endpoint="h"),
            event("interruption", "start", 0, 1),
        ],
    }
    assert kucoin == {
        "exchange": "kucoin",
        "title": "KuCoin",
        "endpoint": None,
        "simulated": None,
        "newest_price_at": None,
        "age_seconds": None,
        "symbols": 0,
        "pairs": 0,
        "unreadable": None,
        "interruption": event("interruption", "silence", 1, None, endpoint="h"),
        "events": [
            event("connection", "reset", n, n, frames=7, endpoint="h") for n in range(13, 3, -1)
        ],
    }
    assert [len(f["events"]) for f in server.get("/api/feeds", limit="1").json()["feeds"]] == [1, 1]

    span = {"from": "2025-03-28T12:00:03Z", "to": "2025-03-28T12:00:05Z"}
    binance, kucoin = server.get("/api/feeds", **span).json()["feeds"]
    assert (binance["events"], [each["from"][17:19] for each in kucoin["events"]]) == (
        [],
        ["04", "03"],
    )
    assert binance["days"] == [
        {"day": "2025-03-28", "condition": "holes", "missing_seconds": 12 * 3600 + 1.0}
    ]
    assert server.get("/api/feeds", **{"from": "2025-03-28", "to": "2025-03-28"}).status_code == 422


def test_the_end_of_a_killed_connection_is_that_of_its_last_minute_with_a_candle(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    midnight = START.replace(hour=0)
    hour = timedelta(hours=1)
    insert_events(
        owner,
        ("kucoin", "h", "connection", None, midnight - hour, None, 0),
        ("kucoin", "h", "interruption", "start", midnight + 12 * hour, midnight + 12 * hour, 0),
        ("kucoin", "h", "connection", "reset", midnight + 12 * hour, midnight + 30 * hour, 0),
    )
    write_batch(database.database_url, [ticker("kucoin", "A-B", "1"), ticker("kucoin", "C-D", "1")])
    accept_any_time(owner, "candles_1m")
    candle = (1, 1, 1, 1, 1, 2, 3)
    insert(
        owner,
        "INSERT INTO candles_1m VALUES %s",
        [
            ("kucoin", "A-B", midnight + 9 * hour, *candle),
            ("kucoin", "A-B", midnight + 13 * hour, *candle),
            ("kucoin", "C-D", midnight + 10 * hour, *candle),
        ],
    )

    span = {"from": "2025-03-28T12:00:00Z", "to": "2025-03-29"}
    _, kucoin = server.get("/api/feeds", **span).json()["feeds"]

    assert kucoin["days"] == [
        {"day": "2025-03-28", "condition": "holes", "missing_seconds": 2 * 3600 - 60.0}
    ]


def test_the_minute_of_a_restart_is_not_taken_for_the_end_of_the_killed_connection(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    midnight, hour = START.replace(hour=0), timedelta(hours=1)
    restart = midnight + 12 * hour + 30 * SECOND
    insert_events(
        owner,
        ("kucoin", "h", "connection", None, midnight - hour, None, 0),
        ("kucoin", "h", "interruption", "start", restart, restart, 0),
        ("kucoin", "h", "connection", "reset", restart, midnight + 30 * hour, 0),
    )
    write_batch(database.database_url, [ticker("kucoin", "A-B", "1")])
    accept_any_time(owner, "candles_1m")
    execute(owner, "DELETE FROM candles_1m")
    insert(
        owner,
        "INSERT INTO candles_1m VALUES %s",
        [
            ("kucoin", "A-B", midnight + hours * hour, 1, 1, 1, 1, 1, 2, 3)
            for hours in (9, 10, 12, 13)
        ],
    )

    span = {"from": "2025-03-28T12:00:00Z", "to": "2025-03-29"}
    _, kucoin = server.get("/api/feeds", **span).json()["feeds"]

    assert kucoin["days"] == [
        {"day": "2025-03-28", "condition": "holes", "missing_seconds": 2 * 3600 - 60.0 + 30.0}
    ]


def test_an_interruption_dated_ahead_does_not_hide_the_one_that_lasts(
    owner: connection, server: ServerProcess
) -> None:
    """The extractor's clock was ahead, and was then set back."""
    now = datetime.now(UTC)
    ahead, began = now + timedelta(minutes=10), now - timedelta(minutes=1)
    insert_events(
        owner,
        ("kucoin", "h", "interruption", "ahead", ahead, ahead, 0),
        ("kucoin", "h", "interruption", "silence", began, None, 0),
    )

    _, kucoin = server.get("/api/feeds").json()["feeds"]
    assert (kucoin["interruption"]["reason"], kucoin["interruption"]["to"]) == ("silence", None)
    _, of_status = server.get("/api/status").json()["exchanges"]
    found = [(each["reason"], each["to"]) for each in of_status["interruptions"]]
    assert found == [("silence", None)]
    with owner.cursor() as statements:
        assert [(each.reason, each.end) for each in recent_interruptions(statements)] == [
            ("silence", None)
        ]


def test_a_connection_dated_ahead_does_not_end_the_one_that_lasts(
    owner: connection, server: ServerProcess
) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    insert_events(
        owner,
        ("kucoin", "h", "connection", None, now - 48 * hour, None, 0),
        ("kucoin", "h", "connection", "reset", now + hour, now + hour, 0),
    )

    span = {"from": (now - hour).isoformat(), "to": now.isoformat()}
    _, kucoin = server.get("/api/feeds", **span).json()["feeds"]

    assert {each["condition"] for each in kucoin["days"]} == {"complete"}


def test_a_thousand_killed_connections_are_answered_in_time(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    """One of many symbols has a candle in each minute but one."""
    day, now = datetime(2025, 4, 1, tzinfo=UTC), datetime.now(UTC)
    minutes = [day + timedelta(minutes=n) for n in range(1001)]
    insert_events(
        owner,
        *(("binance", "h", "connection", None, minute, None, 0) for minute in minutes[:-1]),
        *(("binance", "h", "interruption", "start", minute, minute, 0) for minute in minutes),
        ("binance", "h", "connection", "reset", minutes[-1], day + timedelta(days=1), 0),
    )
    quiet = [ticker("binance", f"A{n}", "1", received_at=now - SECOND) for n in range(2000)]
    write_batch(database.database_url, [*quiet, ticker("binance", "B", "1", received_at=now)])
    accept_any_time(owner, "candles_1m")
    candles = [("binance", "B", minute, 1, 1, 1, 1, 1, 2, 3) for minute in minutes]
    insert(owner, "INSERT INTO candles_1m VALUES %s", candles[:500] + candles[501:])
    with owner.cursor() as cursor:
        cursor.execute("ANALYZE candles_1m, live_prices")

    answer = server.get("/api/feeds", **{"from": "2025-04-01", "to": "2025-04-02"})

    assert answer.status_code == 200
    binance, _ = answer.json()["feeds"]
    assert binance["days"] == [{"day": "2025-04-01", "condition": "holes", "missing_seconds": 60.0}]


def event(
    kind: str,
    reason: str | None,
    start: int,
    end: int | None,
    frames: int = 0,
    endpoint: str | None = None,
) -> dict[str, Any]:
    """Return an event; if it is an interruption that ended, none of its pairs are filled."""
    has_ended = kind == "interruption" and end is not None
    return {
        "endpoint": endpoint,
        "kind": kind,
        "reason": reason,
        "from": f"2025-03-28T12:00:{start:02}.000000Z",
        "to": None if end is None else f"2025-03-28T12:00:{end:02}.000000Z",
        "frames": frames,
        "filled_pairs": 0 if has_ended else None,
        "filled": False if has_ended else None,
    }


def test_a_lost_connection_costs_no_answer(owner: connection, server: ServerProcess) -> None:
    assert server.get("/api/instruments").status_code == 200
    for _ in range(3):
        pid = backend_of_queries(owner)
        rows(owner, "SELECT pg_terminate_backend(%s, 5000)", pid)

        assert server.get("/api/instruments").status_code == 200
        assert backend_of_queries(owner) != pid


def test_the_event_loop_runs_while_the_name_of_postgres_is_resolved(
    database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver waits for the event loop. It alone knows the name: two addresses, the first one wrong."""
    url = database.reader_database_url.replace("127.0.0.1", "postgres.invalid")
    is_asked, may_answer = threading.Event(), threading.Event()

    def resolve(host: str, *parameters: Any, **options: Any) -> list[tuple[Any, ...]]:
        is_asked.set()
        assert may_answer.wait(DEADLINE)
        assert host == "postgres.invalid"
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kind, (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]

    async def answer() -> list[tuple[Any, ...]]:
        queries = QueryConnection(url)
        asking = asyncio.create_task(queries.rows("SELECT host(inet_server_addr())", {}))
        assert await asyncio.to_thread(is_asked.wait, DEADLINE)
        may_answer.set()
        try:
            return await asking
        finally:
            queries.close()

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert asyncio.run(answer()) == [("127.0.0.1",)]


def test_a_locked_day_of_candles_holds_other_requests_up_for_a_second_only(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    """The live job locks a finished day for as long as it sorts it."""
    waiting = "SELECT pid FROM pg_locks WHERE relation = 'candles_1m_any'::regclass AND NOT granted"
    accept_any_time(owner, "candles_1m")
    with (
        closing(psycopg2.connect(database.database_url)) as job,
        job.cursor() as statements,
        ThreadPoolExecutor(1) as client,
    ):
        statements.execute("LOCK TABLE candles_1m_any IN ACCESS EXCLUSIVE MODE")
        locked = client.submit(server.get, "/api/candles/binance/BTCUSDT")
        wait_for(lambda: rows(owner, waiting))
        answer = server.get("/api/instruments")
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 0.9 * DEADLINE
        assert locked.result().status_code == 503
        again = client.submit(server.get, "/api/candles/binance/BTCUSDT")
        waited = set()
        while not again.done():
            waited |= {pid for (pid,) in rows(owner, waiting)}
        assert again.result().status_code == 503
        # A connection whose query timed out was not lost, so the query is not tried on another.
        assert len(waited) == 1


def test_all_queries_share_one_connection(owner: connection, server: ServerProcess) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: server.get("/api/instruments"), range(40)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(rows(owner, QUERIES, owner.info.dbname)) == 1


def test_without_postgres_what_is_asked_of_it_is_unavailable_until_it_is_back(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    assert server.get("/api/instruments").status_code == 200
    paths = ("/api/instruments", "/api/candles/binance/BTCUSDT", "/api/feeds")
    with no_connections(database, owner.info.dbname):
        for path in paths:
            answer = server.get(path)
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["retry-after"] == "1"
            assert answer.json()["detail"] == "Postgres does not answer"

    assert server.get("/api/instruments").json() == {"instruments": []}


def test_the_openapi_document_describes_rows_and_problems(server: ServerProcess) -> None:
    document = server.get("/openapi.json").json()

    paths = document["paths"]
    for path, row in {
        "/api/prices": "Prices",
        "/api/prices/{exchange}/{symbol}": "PriceRow",
        "/api/instruments": "Instruments",
        "/api/candles/{exchange}/{symbol}": "Candles",
        "/api/last-day": "LastDay",
        "/api/compare": "Comparisons",
        "/api/feeds": "Feeds",
        "/api/status": "Status",
    }.items():
        responses = paths[path]["get"]["responses"]
        assert responses["200"]["content"]["application/json"]["schema"] == {
            "$ref": f"#/components/schemas/{row}"
        }
        problems = set(responses) - {"200", "304"}
        assert problems - {"404"} == {"403", "414", "421", "422", "431", "503"}
        assert ("404" in problems) == ("{symbol}" in path)
        for status in problems:
            (schema,) = responses[status]["content"].values()
            assert list(responses[status]["content"]) == ["application/problem+json"]
            assert schema["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert set(document["components"]["schemas"]["Problem"]["required"]) <= set(
        server.get("/api/prices", exchange="kraken").json()
    )
    candle = document["components"]["schemas"]["Candle"]["properties"]
    assert {name: candle[name].get("type", "or null") for name in candle} == {
        "start": "string",
        "open": "string",
        "high": "string",
        "low": "string",
        "close": "string",
        "updates": "integer",
        "source": "string",
        "base_volume": "or null",
        "quote_volume": "or null",
        "trades": "or null",
        "closed": "boolean",
    }


# This must be the last test, because it stops the server.
def test_a_postgres_that_hangs_holds_up_neither_the_rest_nor_the_end(
    owner: connection, server: ServerProcess
) -> None:
    assert server.get("/api/instruments").status_code == 200
    pid = backend_of_queries(owner)
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as client:
            began, asked = time.monotonic(), list[float]()
            hanging = client.submit(server.get, "/api/instruments")
            while not hanging.done():
                asked.append(time.monotonic() - began)
                assert server.get("/healthz").ok

        # A request to /healthz begins only after the answer to the previous one. So one that began halfway
        # shows that /healthz was answered while the query hung.
        assert any(0.1 * DEADLINE < each < 0.9 * DEADLINE for each in asked)
        assert hanging.result().status_code == 503
        assert hanging.result().elapsed.total_seconds() >= DEADLINE
        assert server.get("/api/instruments").status_code == 200
        assert server.terminate() == 0
    finally:
        os.kill(pid, signal.SIGCONT)
