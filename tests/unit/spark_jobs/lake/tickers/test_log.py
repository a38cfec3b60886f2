"""A table that was set back to an older state under a running job ends that job, with the reason."""

import re
from pathlib import Path

import pytest

from spark_jobs.lake.tickers.log import TickerLog
from spark_jobs.lake.tickers.progress import Progress, TableError

PARTITION = ("binance_raw_data", 0)


def progress(batch: int) -> Progress:
    return Progress("w", batch, {PARTITION: 10 * batch})


@pytest.fixture
def log(tmp_path: Path) -> TickerLog:
    """The log of a job that has committed four batches, of which the newest two are gone."""
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
