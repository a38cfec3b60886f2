"""The trace command of an answer, run by a shell and make."""

import os
from pathlib import Path

import pytest

from server.rest.price_source import trace_command
from tests.support.process import run

# Replaces spark-submit; prints the requested symbol.
SPARK_SUBMIT = """#!/bin/sh
printf %s "$2"
"""


def test_the_command_is_as_short_as_a_typed_one() -> None:
    assert trace_command("kucoin", "BTC-USDT") == "make trace SYMBOL=kucoin:BTC-USDT"


@pytest.mark.parametrize(
    "symbol", ["BTC-USDT", "币安人生USDT", "A B", "'; echo x; '", '"$(id)`id`', "$$"]
)
def test_the_command_passes_the_symbol_unchanged(symbol: str, tmp_path: Path) -> None:
    """The exchange chooses a symbol's text; no part of it may run as a command."""
    program = tmp_path / "spark-submit"
    program.write_text(SPARK_SUBMIT)
    program.chmod(0o700)
    command = trace_command("binance", symbol).replace(
        "make", "make --old-file=setup IN_STACK= --silent", 1
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    assert run(["sh", "-c", command], {"PATH": path}).stdout == f"binance:{symbol}"
