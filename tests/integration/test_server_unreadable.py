"""Report an exchange most of whose items can't be read, from the counts that the live job wrote."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from psycopg2.extensions import connection
from websockets.sync.client import ClientConnection, connect

from core.settings import Settings
from server.state.unreadable import LAST_MINUTE
from tests.support.live_job import list_instruments, ticker, wait_for_batch, write_batch
from tests.support.postgres import execute, rows
from tests.support.server import DEADLINE, ServerProcess, running_server
from tests.support.waiting import wait_for

OLD = timedelta(seconds=61)

HEALTHY = {"binance": {"tickers": 5, "dead_letters": {"price can't be read": 1}, "unread": {}}}


@pytest.fixture
def server(database: Settings) -> Iterator[ServerProcess]:
    """A server with a fresh price of each exchange, in a batch as an earlier version wrote it."""
    of_each = [ticker("binance", "BTCUSDT", "1"), ticker("kucoin", "BTC-USDT", "1")]
    batch_id = write_batch(database.database_url, of_each)
    limits = {"BINANCE_PRICE_AGE_LIMIT": "600", "KUCOIN_PRICE_AGE_LIMIT": "600"}
    with running_server(database.reader_database_url, **limits) as server:
        wait_for_batch(server, batch_id)
        assert server.get("/readyz").status_code == 200
        yield server


def kucoin(tickers: int, dead: int = 0, without_price: int = 0) -> dict[str, Any]:
    """Return a batch's `reading` in which `bid` is unread more often than anything else."""
    place = {"symbol": "A-B", "written": "", "partition": 2, "offset": 1620, "position": 17}
    return {
        "kucoin": {
            "tickers": tickers,
            "dead_letters": {"sequence is missing": dead} if dead else {},
            "unread": {
                "bid is empty": {"count": 1000, **place},
                "price is absent": {"count": without_price, **place},
            },
        }
    }


def unreadable(answer: requests.Response) -> list[dict[str, Any] | None]:
    """Return `unreadable` of Binance and KuCoin."""
    body = answer.json()
    return [each["unreadable"] for each in body.get("exchanges") or body["feeds"]]


def wait_until_unreadable(server: ServerProcess, of_kucoin: Any) -> requests.Response:
    return wait_for(
        lambda: server.get("/readyz"), lambda response: unreadable(response)[1] == of_kucoin
    )


def samples(server: ServerProcess) -> list[str]:
    lines = server.get("/metrics").text.splitlines()
    return sorted(line for line in lines if line.startswith("server_unreadable_share{"))


def receive_unreadable(client: ClientConnection) -> list[dict[str, Any]]:
    while (message := json.loads(client.recv(DEADLINE)))["type"] != "unreadable":
        pass
    exchanges: list[dict[str, Any]] = message["exchanges"]
    return exchanges


def test_an_exchange_that_only_a_later_version_knows_is_left_out(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    listed = (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"))
    list_instruments(owner, *((*each, "BTC", "USDT", "TRADING") for each in listed))
    for table in ("instruments", "live_prices"):
        execute(
            owner,
            f"CREATE TEMP TABLE later ON COMMIT DROP AS SELECT * FROM {table} WHERE exchange = 'kucoin';"
            " UPDATE later SET exchange = 'lumen';"
            f" INSERT INTO {table} SELECT * FROM later",
        )
    of_lumen = {"lumen": kucoin(0, dead=5)["kucoin"]}
    batch_id = write_batch(database.database_url, [ticker("kucoin", "BTC-USDT", "2")])
    execute(owner, "UPDATE batches SET reading = %s WHERE id = %s", json.dumps(of_lumen), batch_id)
    with running_server(database.reader_database_url) as fresh:
        wait_for_batch(fresh, batch_id)
        instruments = fresh.get("/api/instruments").json()["instruments"]
        assert [each["exchange"] for each in instruments] == ["binance", "kucoin"]
        (pair,) = fresh.get("/api/compare").json()["pairs"]
        assert [each["exchange"] for each in pair["venues"]] == ["binance", "kucoin"]
        with connect(fresh.stream) as client:
            snapshot = json.loads(client.recv(DEADLINE))
            assert {each["exchange"] for each in snapshot["prices"]} == {"binance", "kucoin"}
            assert json.loads(client.recv(DEADLINE))["type"] == "heartbeat"


def test_more_than_half_makes_it_not_ready_and_everyone_says_why_until_a_minute_has_passed(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    found = {"share": 0.625, "cause": "sequence is missing"}
    with connect(server.stream) as client:
        write_batch(database.database_url, [], HEALTHY | kucoin(3, dead=3, without_price=2))
        response = wait_until_unreadable(server, found)
        assert receive_unreadable(client) == [{"exchange": "kucoin", **found}]

        assert (response.status_code, response.json()["ready"]) == (503, False)
        assert [each["readable"] for each in response.json()["exchanges"]] == [True, False]
        assert [each["fresh"] for each in response.json()["exchanges"]] == [True, True]
        healthy = {"share": 0.167, "cause": "price can't be read"}
        assert unreadable(response) == unreadable(server.get("/api/feeds")) == [healthy, found]
        assert samples(server) == [
            'server_unreadable_share{exchange="binance"} 0.167',
            'server_unreadable_share{exchange="kucoin"} 0.625',
        ]
        assert "unreadable exchange=kucoin share=0.625 cause='sequence is missing'" in server.log()

        execute(owner, "UPDATE batches SET committed_at = committed_at - interval '1 minute'")

        assert receive_unreadable(client) == []
        response = wait_until_unreadable(server, None)
    assert response.status_code == 200
    assert unreadable(server.get("/api/feeds")) == [None, None]
    assert samples(server) == [
        'server_unreadable_share{exchange="binance"} NaN',
        'server_unreadable_share{exchange="kucoin"} NaN',
    ]
    assert "readable again exchange=kucoin" in server.log()


def test_half_of_a_minute_is_not_most_of_it_and_what_is_older_does_not_count(
    database: Settings, server: ServerProcess
) -> None:
    write_batch(database.database_url, [], kucoin(0, dead=100), OLD)
    write_batch(database.database_url, [], kucoin(4))
    write_batch(database.database_url, [], kucoin(0, without_price=4))

    response = wait_until_unreadable(server, {"share": 0.5, "cause": "price is absent"})
    assert (response.status_code, response.json()["exchanges"][1]["readable"]) == (200, True)

    write_batch(database.database_url, [], kucoin(0, without_price=1))
    response = wait_until_unreadable(server, {"share": 0.556, "cause": "price is absent"})
    assert (response.status_code, response.json()["exchanges"][1]["readable"]) == (503, False)

    write_batch(database.database_url, [], kucoin(1))
    response = wait_until_unreadable(server, {"share": 0.5, "cause": "price is absent"})
    assert response.status_code == 200


def test_the_last_minute_is_found_without_reading_the_days_before(
    database: Settings, owner: connection
) -> None:
    """Insert seven hours of batches, for which Postgres has no statistics yet."""
    execute(
        owner,
        "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, reading,"
        " started_at, committed_at)"
        " SELECT 1, 0, 0, '{}', %s, now(), now() - number * interval '250 ms'"
        " FROM generate_series(100000, 0, -1) AS number",
        json.dumps(kucoin(1, dead=1)),
    )

    items = {cause: items for _exchange, cause, items in rows(owner, LAST_MINUTE)}
    # Four batches a second make 240 in a minute, minus those that became older meanwhile.
    assert 0 < items["sequence is missing"] == items[None] <= 240

    ((explained,),) = rows(owner, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {LAST_MINUTE}")
    plan = explained[0]["Plan"]
    ((size,),) = rows(owner, "SELECT pg_relation_size('batches') / 8192")
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < size / 20
