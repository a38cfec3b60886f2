"""The command that an answer names, as a shell and make read it."""

import os
from pathlib import Path

import pytest

from server.rest.price_source import trace_command
from tests.support.process import run

# In place of Spark's: prints the symbol that it is asked for.
SPARK_SUBMIT = """#!/bin/sh
printf %s "$2"
"""


def test_the_command_is_as_one_would_type_it() -> None:
    assert trace_command("kucoin", "BTC-USDT") == "make trace SYMBOL=kucoin:BTC-USDT"


@pytest.mark.parametrize(
    "symbol", ["BTC-USDT", "币安人生USDT", "A B", "'; echo x; '", '"$(id)`id`', "$$"]
)
def test_the_command_asks_for_the_symbol_to_the_letter(symbol: str, tmp_path: Path) -> None:
    """The exchange chooses a symbol's text: nothing of it may become a command."""
    program = tmp_path / "spark-submit"
    program.write_text(SPARK_SUBMIT)
    program.chmod(0o700)
    command = trace_command("binance", symbol).replace(
        "make", "make --old-file=setup IN_STACK= --silent", 1
    )
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    assert run(["sh", "-c", command], {"PATH": path}).stdout == f"binance:{symbol}"
