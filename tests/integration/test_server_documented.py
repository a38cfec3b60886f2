"""Run the examples of clients in README.md, client/README.md and docs/server.md, with another port."""

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

import psycopg2
import pytest

from core.settings import Settings
from infra.paths import PROJECT
from infra.stack import Stack
from tests.support.live_job import list_instruments, ticker, wait_for_batch, write_batch
from tests.support.process import Process, run, running
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database

SYMBOLS = [("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"), ("kucoin", "ETH-BTC")]

NUMBERS = count(85440)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    """One database for all tests; each test writes different prices."""
    database = new_database(stack)
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        list_instruments(
            owner,
            ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
            ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
            ("kucoin", "ETH-BTC", "ETH", "BTC", "TRADING"),
        )
    return database


@pytest.fixture(scope="module")
def server(database: Settings) -> Iterator[ServerProcess]:
    with running_server(database.reader_database_url) as server:
        wait_for_batch(server, write(database, "85439.99"))
        yield server


def write(database: Settings, price: str) -> int:
    return write_batch(database.database_url, [ticker(*symbol, price) for symbol in SYMBOLS])


def blocks(document: str, language: str, server: ServerProcess) -> list[str]:
    """Return the document's code blocks of a language that connect to the server."""
    text = (PROJECT / document).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [
        block.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        for block in found
        if "127.0.0.1:8000" in block
    ]


def follow(
    commands: list[list[str]], database: Settings, server: ServerProcess, folder: Path
) -> None:
    """Assert that each command prints the current prices and those of the next batch."""
    before, after = f"{next(NUMBERS)}.01", f"{next(NUMBERS)}.01"
    wait_for_batch(server, write(database, before))
    with ExitStack() as all_running:
        programs = [
            all_running.enter_context(
                running(Process(command, folder / str(number), {"PYTHONUNBUFFERED": "1"}))
            )
            for number, command in enumerate(commands)
        ]
        for program in programs:
            program.wait_for(program.log, lambda printed: before in printed)
            assert after not in program.log()
        write(database, after)
        for program in programs:
            program.wait_for(program.log, lambda printed: after in printed)


@pytest.mark.parametrize("document", ["README.md", "docs/server.md"])
def test_curl_and_a_websocket_client_on_the_command_line_print_prices(
    database: Settings, server: ServerProcess, tmp_path: Path, document: str
) -> None:
    lines = [line for block in blocks(document, "sh", server) for line in block.splitlines()]
    streams = [shlex.split(line) for line in lines if "/stream" in line or "/ws" in line]
    assert [command[0] for command in streams] == ["curl", ".venv/bin/python"]

    follow(streams, database, server, tmp_path)


@pytest.mark.parametrize(("document", "programs"), [("README.md", 1), ("client/README.md", 2)])
def test_a_few_lines_of_python_print_prices(
    database: Settings, server: ServerProcess, tmp_path: Path, document: str, programs: int
) -> None:
    code = blocks(document, "python", server)
    assert len(code) == programs

    follow([[sys.executable, "-c", each] for each in code], database, server, tmp_path)


def test_an_answer_that_is_known_is_not_sent_again_by_the_commands_of_the_document(
    server: ServerProcess,
) -> None:
    (code,) = [block for block in blocks("docs/server.md", "sh", server) if "etag" in block]

    assert run(["bash", "-c", code]).stdout.strip() == "304"
