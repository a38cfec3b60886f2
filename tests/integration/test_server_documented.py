"""What the README and docs/server.md say to type works as it stands there, but for the port."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.up import wait_until
from tests.integration.test_server_queries import list_instruments
from tests.live_job import ticker, wait_for_batch, write_batch
from tests.server_process import DEADLINE, ROOT, ServerProcess, running_server

SYMBOLS = [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"), ("kucoin", "ETH-BTC")]


@pytest.fixture
def server(database: Settings, owner: connection) -> Iterator[ServerProcess]:
    list_instruments(
        owner,
        ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
        ("kucoin", "ETH-BTC", "ETH", "BTC", "TRADING"),
    )
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, write(database, "85439.99"))
        yield server


def write(database: Settings, price: str) -> int:
    return write_batch(database.database_url, [ticker(*symbol, price) for symbol in SYMBOLS])


def blocks(document: str, language: str, server: ServerProcess) -> list[str]:
    """The code of that language in a document, of blocks that speak to the server."""
    text = (ROOT / document).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        block.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        for block in found
        if "127.0.0.1:8000" in block
    ]


@contextmanager
def running(command: list[str], output: Path) -> Iterator[Path]:
    """What it prints is in the file. Its input stays open, as in a terminal."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield output
        finally:
            process.kill()


def follow(commands: list[list[str]], database: Settings, folder: Path) -> None:
    """Each prints the prices that there are, and those of the next batch."""
    with ExitStack() as all_running:
        outputs = [
            all_running.enter_context(running(command, folder / str(number)))
            for number, command in enumerate(commands)
        ]

        def told(price: str) -> bool:
            return all(price in output.read_text() for output in outputs)

        assert wait_until(lambda: told("85439.99"), deadline=DEADLINE), read(outputs)
        write(database, "85440.01")
        assert wait_until(lambda: told("85440.01"), deadline=DEADLINE), read(outputs)


def read(outputs: list[Path]) -> list[str]:
    return [output.read_text() for output in outputs]


@pytest.mark.parametrize("document", ["README.md", "docs/server.md"])
def test_curl_and_a_websocket_client_on_the_command_line_print_prices(
    database: Settings, server: ServerProcess, tmp_path: Path, document: str
) -> None:
    lines = [line for block in blocks(document, "sh", server) for line in block.splitlines()]
    streams = [shlex.split(line) for line in lines if "/stream" in line or "/ws" in line]
    assert [command[0] for command in streams] == ["curl", ".venv/bin/python"]

    follow(streams, database, tmp_path)


def test_three_lines_of_python_print_prices(
    database: Settings, server: ServerProcess, tmp_path: Path
) -> None:
    (code,) = blocks("README.md", "python", server)

    follow([[sys.executable, "-c", code]], database, tmp_path)


def test_an_answer_that_is_known_is_not_sent_again_by_the_commands_of_the_document(
    server: ServerProcess,
) -> None:
    (code,) = [block for block in blocks("docs/server.md", "sh", server) if "etag" in block]

    said = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "304"
