"""Test that a benchmark divides what it counted by the seconds in which it counted."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from benchmarks import streams, table_size
from core.settings import Settings


class Clock:
    """Replaces `time` in a benchmark."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_messages_are_divided_by_the_seconds_in_which_they_were_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()

    @contextmanager
    def clients(*_: object, **__: object) -> Iterator[SimpleNamespace]:
        clock.sleep(30)
        ready = clock.now

        def result() -> dict[str, Any]:
            """Return what was received from "ready" on: 1,000 messages of 100 bytes per second."""
            messages = 1000 * (clock.now - ready)
            return {
                "arrivals": {"everything": [], "ten": [], "slow": []},
                "messages": {"everything": 0, "ten": messages, "slow": 0},
                "bytes": {"everything": 0, "ten": 100 * messages, "slow": 0},
            }

        yield SimpleNamespace(running=None, result=result)

    monkeypatch.setattr(streams, "time", clock)
    monkeypatch.setattr(streams, "child", clients)
    # One core.
    monkeypatch.setattr(streams, "usage", lambda *_: (clock.now, 0.0))
    source = cast(Any, SimpleNamespace(result=dict))

    load = streams.Load(0, 1000, 0)
    row = streams.measured("server", [], source, 8000, load, "plain", seconds=10).row

    assert row["CPU"] == "1.00"
    assert row["messages/s per core"] == "1,000"
    assert row["MB/s per core"] == "0.1"


def test_rows_are_divided_by_the_seconds_in_which_they_were_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    tickers = SimpleNamespace(batch=lambda number, changes: SimpleNamespace(num_rows=1200))
    # A slow sink takes a second for each batch.
    sink = SimpleNamespace(write=lambda rows, number: clock.sleep(1), close=lambda: None)
    published: list[dict[str, str]] = []
    monkeypatch.setattr(table_size, "time", clock)
    monkeypatch.setattr(table_size, "Tickers", lambda: tickers)
    monkeypatch.setattr(table_size, "PriceSink", lambda url: sink)
    monkeypatch.setattr(psycopg2, "connect", lambda url: sink)
    monkeypatch.setattr(table_size, "one_step", lambda database: None)
    monkeypatch.setattr(table_size, "sizes", lambda database: (0,) * 9)
    monkeypatch.setattr(table_size, "publish", lambda *all: published.extend(all[2]))

    table_size.run(Settings(), 2)

    assert {row["rows/s"] for row in published} == {"1200"}
