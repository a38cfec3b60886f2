"""Rename a field of an exchange, and follow it from Kafka through the live job to the server."""

import time
from pathlib import Path
from typing import Any

import pytest
import requests
from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from tests.support.frames import BTCUSDT, CRO_USDT, item
from tests.support.kafka import all_ends, produce
from tests.support.postgres import start_at
from tests.support.queries import run_live_prices
from tests.support.server import ServerProcess, running_server
from tests.support.waiting import wait_for


def renamed(field: str) -> dict[str, Any]:
    """Return a KuCoin ticker with the field renamed."""
    data = {
        f"{name}New" if name == field else name: value for name, value in CRO_USDT["data"].items()
    }
    return {**CRO_USDT, "data": data}


def received_now(frame: dict[str, Any]) -> dict[str, Any]:
    return item(frame, time.time_ns() // 1000)


@pytest.mark.parametrize(
    ("field", "cause"), [("price", "price is absent"), ("sequence", "sequence is missing")]
)
def test_a_renamed_field_makes_the_server_not_ready_until_most_can_be_read_again(
    spark: SparkSession,
    database: Settings,
    owner: connection,
    tmp_path: Path,
    field: str,
    cause: str,
) -> None:
    start_at(owner, all_ends(database))
    limits = {"BINANCE_PRICE_AGE_LIMIT": "600", "KUCOIN_PRICE_AGE_LIMIT": "600"}

    def send(*kucoin: dict[str, Any]) -> None:
        produce(database, KUCOIN.raw_topic, [received_now(frame) for frame in kucoin])
        produce(database, BINANCE.raw_topic, [received_now(BTCUSDT)])
        run_live_prices(spark, database, tmp_path)

    with running_server(database.reader_database_url, **limits) as server:
        send(CRO_USDT)
        assert wait_for_share(server, 0.0, None).status_code == 200

        send(renamed(field), renamed(field))

        not_ready = wait_for_share(server, 0.667, cause)
        assert not_ready.status_code == 503
        binance, kucoin = not_ready.json()["exchanges"]
        assert (kucoin["fresh"], kucoin["readable"]) == (True, False)
        assert binance["unreadable"] == {"share": 0.0, "cause": None}
        assert (binance["fresh"], binance["readable"]) == (True, True)

        send(CRO_USDT, CRO_USDT)

        assert wait_for_share(server, 0.4, cause).status_code == 200


def wait_for_share(server: ServerProcess, share: float, cause: str | None) -> requests.Response:
    """Return what /readyz answers once KuCoin's unreadable share is as expected."""
    expected = {"share": share, "cause": cause}

    def is_expected(answer: requests.Response) -> bool:
        return bool(answer.json()["exchanges"][1]["unreadable"] == expected)

    return wait_for(lambda: server.get("/readyz"), is_expected)
