"""Every address of the OpenAPI document, with input that nobody thought of: it does what it says."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from psycopg2.extensions import connection
from psycopg2.extras import execute_values

from core.settings import Settings
from tests.live_job import ticker, wait_for_batch, write_batch
from tests.server_process import running_server

KEY = "0123456789abcdef0123456789abcdef"
SECONDS = 12

# The document can't say that `to` must come after `from`.
CONFIGURATION = f"""
[auth.openapi.header]
api_key = "{KEY}"

[[operations]]
include-path = "/api/candles/{{exchange}}/{{symbol}}"
checks.positive_data_acceptance.enabled = false
"""


def test_the_server_does_what_its_document_says(
    database: Settings, owner: connection, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    with owner.cursor() as cursor:
        listed = [
            ("binance", "BTCUSDT", "BTC", "USDT", "TRADING", now),
            ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING", now),
        ]
        execute_values(cursor, "INSERT INTO instruments VALUES %s", listed)
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
        said = subprocess.run(
            [
                *(Path(sys.executable).with_name("schemathesis"), "run"),
                *("--mode", "all", "--phases", "coverage,fuzzing"),
                *("--max-examples", "30", "--max-time", str(SECONDS), "--seed", "1"),
                # It does not end.
                *("--exclude-path", "/stream"),
                *("--no-shrink", "--warnings", "off", "--no-color"),
                f"{server.page}openapi.json",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=5 * SECONDS,
        )

    assert said.returncode == 0, said.stdout + said.stderr
