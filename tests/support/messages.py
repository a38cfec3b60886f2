"""Build messages from literal values and read them to sorted rows, without Spark."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import polars as pl
import pytest

from exchanges.binance import BINANCE
from spark_jobs.tickers.column_reader import read_columns
from spark_jobs.tickers.columns import MESSAGE, polars_schema
from spark_jobs.tickers.element_reader import read_elements
from spark_jobs.tickers.reader import read_messages

HOST = "stream.binance.com"

Reader = Callable[[pl.DataFrame], pl.DataFrame]


def message(
    value: Any,
    topic: str = BINANCE.raw_topic,
    *,
    partition: int = 0,
    offset: int = 0,
    timestamp: datetime | int | None = None,
    endpoint: str | None = HOST,
) -> dict[str, Any]:
    """Return a message. `value` is JSON-encoded unless bytes; None means a record without value."""
    if not isinstance(value, bytes | None):
        value = encoded(value)
    return {
        "value": value,
        "endpoint": endpoint,
        "timestamp": timestamp,
        "topic": topic,
        "partition": partition,
        "offset": offset,
    }


def short(written: Any) -> str | None:
    """Return a short test id for a long parameter, None to use pytest's default."""
    if isinstance(written, str | bytes) and len(written) > 30:
        return f"{written[:20]!r} of {len(written)}"
    return None


def encoded(value: Any) -> bytes:
    """Return compact JSON, as exchanges write it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def frame(*messages: dict[str, Any]) -> pl.DataFrame:
    """Return a frame with the columns of columns.MESSAGE."""
    columns = {name: [each[name] for each in messages] for name in MESSAGE}
    return pl.DataFrame(columns, polars_schema(MESSAGE))


def in_order(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return rows of columns.READ, sorted by topic, partition, offset, position, kind and field."""
    return rows.sort("topic", "partition", "offset", "position", "kind", "field").to_dicts()


def by_columns(messages: pl.DataFrame) -> pl.DataFrame:
    """Read with read_columns. Assert that it leaves no message to read_elements."""
    rows, left = read_columns(messages)
    assert not len(left), f"left to read_elements: {left['value'].to_list()}"
    return rows


READERS: tuple[Reader, ...] = (read_elements, read_messages)
"""Readers that must read any message alike."""


at_the_depth_limit = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""For tests of deeply nested messages: at the recursion limit a gc callback may fail too."""
