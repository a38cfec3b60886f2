"""Streams get prices although the live job locks a finished day of candles to sort it."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from websockets.sync.client import ClientConnection, connect

from core.settings import Settings
from infra.stack import Stack
from spark_jobs.postgres.candle_days import make_days
from tests.support.live_job import ticker, wait_for_batch, write_batch
from tests.support.server import DEADLINE, ServerProcess
from tests.support.stacks import new_database

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date()


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


def messages_until_changes(client: ClientConnection) -> list[dict[str, Any]]:
    received: list[dict[str, Any]] = []
    while not received or received[-1]["type"] != "changes":
        received.append(json.loads(client.recv(DEADLINE)))
    return received


def test_a_locked_day_of_candles_holds_up_no_stream(
    database: Settings, owner: connection, server: ServerProcess
) -> None:
    with owner.cursor() as statements:
        make_days(statements, [YESTERDAY])
    wait_for_batch(server, write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")]))
    with (
        connect(f"{server.stream}?symbol=BTCUSDT&candles=1m") as with_candles,
        connect(server.stream) as without,
        closing(psycopg2.connect(database.database_url)) as sorting,
    ):
        for client in (with_candles, without):
            assert json.loads(client.recv(DEADLINE))["type"] == "snapshot"
        with sorting, sorting.cursor() as statements:
            statements.execute(f"LOCK TABLE candles_1m_{YESTERDAY:%Y%m%d} IN ACCESS EXCLUSIVE MODE")
            write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
            for client in (with_candles, without):
                received = messages_until_changes(client)
                assert {each["type"] for each in received} <= {"changes", "heartbeat"}
                assert [each["price"] for each in received[-1]["prices"]] == ["2"]
