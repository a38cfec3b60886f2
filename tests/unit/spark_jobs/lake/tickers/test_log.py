"""Test commits of two threads, and a table that was set back to an older state under a running job."""

import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import pytest

from spark_jobs.lake.tickers.log import TickerLog
from spark_jobs.lake.tickers.progress import Progress, TableError

PARTITION = ("binance_raw_data", 0)


def progress(batch: int) -> Progress:
    return Progress("w", batch, {PARTITION: 10 * batch})


class LateLock:
    """Lock that another thread gets first: `first` runs before it is taken for the first time."""

    def __init__(self, first: Callable[[], None]) -> None:
        self._lock = Lock()
        self._first: Callable[[], None] | None = first

    def __enter__(self) -> None:
        if first := self._first:
            self._first = None
            first()
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


@pytest.mark.parametrize("rearranges", [True, False], ids=["rearrange", "remove"])
def test_upkeep_that_waited_for_a_batch_keeps_the_progress_of_that_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rearranges: bool
) -> None:
    opened = TickerLog.open(f"file:{tmp_path}", {}, "w")
    opened.append([], progress(1))
    monkeypatch.setattr(opened, "_lock", LateLock(lambda: opened.append([], progress(2))))
    opened.rearrange([], []) if rearranges else opened.remove([])
    assert opened.progress == progress(2)
    assert TickerLog.open(f"file:{tmp_path}", {}, "next").progress == progress(2)


@pytest.fixture
def log(tmp_path: Path) -> TickerLog:
    """Return the log of a job that has committed four batches, of which the newest two are gone."""
    opened = TickerLog.open(f"file:{tmp_path}", {}, "w")
    for batch in range(1, 5):
        opened.append([], progress(batch))
    for version in (3, 4):
        (tmp_path / "_delta_log" / f"{version:020}.json").unlink()
    return opened


@pytest.mark.parametrize("of_upkeep", [False, True], ids=["batch", "upkeep"])
def test_nothing_is_committed_to_an_older_table(
    log: TickerLog, tmp_path: Path, of_upkeep: bool
) -> None:
    expected = re.escape("is at version 2, but this job has committed 4: the bucket was set back")
    with pytest.raises(TableError, match=expected):
        log.remove([]) if of_upkeep else log.append([], progress(5))
    next_start = TickerLog.open(f"file:{tmp_path}", {}, "next")
    assert next_start.progress == progress(2)
