"""Send generated requests to all paths of the OpenAPI document but /stream: the server conforms to it."""

import sys
from pathlib import Path

from psycopg2.extensions import connection

from core.settings import Settings
from tests.support.live_job import list_instruments, ticker, wait_for_batch, write_batch
from tests.support.process import run
from tests.support.server import running_server

KEY = "0123456789abcdef0123456789abcdef"
SECONDS = 12

# OpenAPI can't express that `to` must come after `from`.
CONFIGURATION = f"""
[auth.openapi.header]
api_key = "{KEY}"

[[operations]]
include-path = "/api/candles/{{exchange}}/{{symbol}}"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/api/history/{{exchange}}/{{symbol}}"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/api/feeds"
checks.positive_data_acceptance.enabled = false
"""


def test_the_server_does_what_its_document_says(
    database: Settings, owner: connection, tmp_path: Path
) -> None:
    list_instruments(
        owner,
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
    )
    batch_id = write_batch(
        database.database_url,
        [ticker("binance", "BTCUSDT", "85439.99"), ticker("kucoin", "BTC-USDT", "85440.1")],
    )
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    with running_server(
        database.reader_database_url,
        SERVER_API_KEY=KEY,
        BINANCE_PRICE_AGE_LIMIT="600",
        KUCOIN_PRICE_AGE_LIMIT="600",
    ) as server:
        wait_for_batch(server, batch_id, {"X-API-Key": KEY})
        run(
            [
                # schemathesis reads its configuration from this folder and leaves files there.
                *("env", "--chdir", str(tmp_path)),
                *(Path(sys.executable).with_name("schemathesis"), "run"),
                *("--mode", "all", "--phases", "coverage,fuzzing"),
                *("--max-examples", "30", "--max-time", str(SECONDS), "--seed", "1"),
                # The response of /stream does not end.
                *("--exclude-path", "/stream"),
                *("--no-shrink", "--warnings", "off", "--no-color"),
                f"{server.page}openapi.json",
            ]
        )
