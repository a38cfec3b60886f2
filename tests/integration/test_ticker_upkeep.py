"""Run the tickers table's upkeep beside batches, other programs and kills: each row remains once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import deltalake
import psutil
import pytest
from pyarrow import parquet

from spark_jobs.lake.tickers.log import TickerLog
from spark_jobs.lake.tickers.plan import MAX_RUNS
from spark_jobs.lake.tickers.progress import Progress, TableError
from spark_jobs.tickers.files import ROWS_PER_ROW_GROUP, is_sorted
from tests.support.process import Process, running
from tests.support.ticker_table import DAY, LONG_AFTER, RETENTION_DAYS, OwnTable, tickers
from tests.support.waiting import wait_for

SYMBOLS = [f"COIN{number:03}USDT" for number in range(200)]
MERGE = "spark_jobs.lake.tickers.merge"


@pytest.fixture
def table(tmp_path: Path) -> OwnTable:
    return OwnTable(tmp_path)


def do_all(table: OwnTable, file_bytes: int) -> None:
    upkeep = table.upkeep(file_bytes)
    while upkeep.look(LONG_AFTER):
        pass


def data_files(table: OwnTable) -> set[Path]:
    return {path for path in table.folder.rglob("*.parquet") if "_delta_log" not in path.parts}


def footer(table: OwnTable, path: str) -> parquet.FileMetaData:
    return parquet.read_metadata(table.folder / path)


def test_small_files_of_today_are_joined_and_batches_go_on(table: OwnTable) -> None:
    table.write_many(SYMBOLS, MAX_RUNS)
    upkeep = table.upkeep()
    assert upkeep.look(DAY)
    assert not upkeep.look(DAY)
    [file] = table.log.files()
    assert (file.first_symbol, file.last_symbol) == (SYMBOLS[0], SYMBOLS[39])
    assert file.modified == DAY.timestamp() * 1000
    table.write_many(SYMBOLS, 1)
    table.assert_exact()
    assert len(table.log.files()) == 2


def test_a_symbol_of_a_finished_day_is_in_one_file_of_bounded_size(table: OwnTable) -> None:
    # A row group has 65,536 rows. A file has two of them, and the rest of its last symbol.
    file_bytes = 70_000
    for offset in range(19):
        table.write(tickers(SYMBOLS, 20_000, offset))
    before = sum(file.size for file in table.log.files())
    do_all(table, file_bytes)
    table.assert_exact()
    files = sorted(table.log.files(), key=lambda file: file.first_symbol)
    assert len(files) == 3
    assert max(footer(table, file.path).num_rows for file in files) < 3 * ROWS_PER_ROW_GROUP
    assert sum(file.size for file in files) < before
    for symbol in SYMBOLS:
        holding = [file for file in files if file.first_symbol <= symbol <= file.last_symbol]
        assert len(holding) == 1, symbol
    for file in files:
        assert is_sorted(footer(table, file.path))
        assert footer(table, file.path).num_row_groups <= 3


def test_many_files_are_merged_in_steps(table: OwnTable) -> None:
    table.write_many(SYMBOLS, 2 * MAX_RUNS + 5, count=3)
    do_all(table, 1_000_000)
    table.assert_exact()
    assert len(table.log.files()) == 1


def test_files_that_an_optimize_by_hand_has_made_are_sorted(table: OwnTable) -> None:
    table.write_many(SYMBOLS, 5)
    deltalake.DeltaTable(str(table.folder)).optimize.compact()
    table.write_many(SYMBOLS, 3)
    do_all(table, 1_000_000)
    table.assert_exact()
    [file] = table.log.files()
    assert is_sorted(footer(table, file.path))
    assert footer(table, file.path).num_rows == 8 * 40


def test_days_that_are_too_old_go_and_newer_ones_stay(table: OwnTable) -> None:
    table.write(tickers(SYMBOLS, 10, 0, DAY))
    table.write(tickers(SYMBOLS, 10, 1, DAY + timedelta(days=1)))
    table.upkeep().look(DAY + timedelta(days=RETENTION_DAYS + 1))
    table.places = [place for place in table.places if place[0] == 1]
    table.assert_exact()


def test_only_files_that_nobody_has_needed_for_a_day_are_deleted(table: OwnTable) -> None:
    table.write_many(SYMBOLS, 3)
    batches = data_files(table)
    some = min(batches)
    old, young = some.with_name("old.zstd.parquet"), some.with_name("young.zstd.parquet")
    for orphan in (old, young):
        orphan.write_bytes(some.read_bytes())
    two_days_ago = young.stat().st_mtime - 2 * 86400
    for path in (old, *batches):
        os.utime(path, (two_days_ago, two_days_ago))
    do_all(table, 1_000_000)
    assert not old.exists()
    # Readers that started earlier may still need the replaced files.
    table.upkeep().vacuum()
    assert data_files(table) > {young, *batches}
    table.write_many(SYMBOLS, 1)
    table.assert_exact()


@contextmanager
def suspended_merge(table: OwnTable) -> Iterator[list[Exception]]:
    """Run the upkeep in a thread, its merge suspended for the block. Yield a list of errors it raised."""
    raised: list[Exception] = []

    def look() -> None:
        try:
            table.upkeep().look(LONG_AFTER)
        except TableError as error:
            raised.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    [process] = wait_for(lambda: merges_of(psutil.Process()))
    process.suspend()
    try:
        yield raised
    finally:
        process.resume()
        thread.join()


def merges_of(parent: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):
            if MERGE in child.cmdline():
                found.append(child)
    return found


def test_a_batch_does_not_wait_for_a_merge(table: OwnTable) -> None:
    table.write_many(SYMBOLS, 5)
    with suspended_merge(table) as raised:
        table.write_many(SYMBOLS, 3)
        table.assert_exact()
        assert len(table.log.files()) == 8
    assert raised == []
    assert len(table.log.files()) == 4
    table.assert_exact()


def test_files_that_another_program_replaces_during_a_merge_are_not_there_twice(
    table: OwnTable,
) -> None:
    table.write_many(SYMBOLS, 5)
    with suspended_merge(table) as raised:
        deltalake.DeltaTable(str(table.folder)).optimize.compact()
    assert "another program has replaced" in str(raised[0])
    table.write_many(SYMBOLS, 1)
    table.assert_exact()
    do_all(table, 1_000_000)
    table.assert_exact()


def test_a_merge_that_fails_changes_nothing_and_batches_and_other_days_go_on(
    table: OwnTable, caplog: pytest.LogCaptureFixture
) -> None:
    table.write(tickers(SYMBOLS, 40, 0, DAY - timedelta(days=1)))
    table.write(tickers(SYMBOLS, 40, 1, DAY - timedelta(days=1)))
    earlier = data_files(table)
    table.write_many(SYMBOLS, 2)
    path = min(data_files(table) - earlier)
    away = path.rename(path.with_suffix(".away"))
    upkeep = table.upkeep()
    assert upkeep.look(LONG_AFTER)
    assert f"date={DAY:%Y-%m-%d} exchange=binance retry_in=3600" in caplog.text
    assert upkeep.look(LONG_AFTER)
    assert not upkeep.look(LONG_AFTER), "the failed day was retried"
    assert len({each.path for each in table.log.files() if each.date < str(DAY.date())}) == 1
    table.write_many(SYMBOLS, 1)
    away.rename(path)
    table.assert_exact()
    do_all(table, 1_000_000)
    table.assert_exact()


def test_another_job_that_the_upkeep_finds_ends_this_one(table: OwnTable) -> None:
    table.write_many(SYMBOLS, 2)
    before = table.log.progress
    other = TickerLog.open(table.path, {}, "other")
    other.append([], Progress("other", before.batch + 1, {("binance_raw_data", 0): 9}))
    with pytest.raises(TableError, match="another price_history"):
        table.upkeep().look(LONG_AFTER)
    with pytest.raises(TableError, match="another price_history"):
        table.log.append([], Progress(before.writer, before.batch + 1, {}))
    assert TickerLog.open(table.path, {}, "third").progress == other.progress


def test_kills_at_any_moment_lose_nothing_and_double_nothing(
    table: OwnTable, tmp_path: Path
) -> None:
    table.write_many(SYMBOLS, MAX_RUNS + 20, count=200)
    progress = table.log.progress
    command = [sys.executable, "-m", "tests.support.programs.ticker_upkeep", str(tmp_path)]

    def kill_at(number: int) -> None:
        known, version = data_files(table), newest_version(table)
        with running(Process(command, tmp_path / f"{number}.log")) as program:
            parent = psutil.Process(program.pid)
            moments: Sequence[Callable[[], object]] = (
                lambda: merges_of(parent),
                lambda: data_files(table) - known,
                lambda: newest_version(table) > version,
            )
            program.wait_for(moments[number])
            children = parent.children()
            os.kill(program.pid, signal.SIGKILL)
            program.wait()
            # A merge ends by itself when its job has ended.
            wait_for(lambda: not any(map(is_alive, children)))

    for number in range(3):
        kill_at(number)
        found = OwnTable(tmp_path)
        found.places = table.places
        found.assert_exact()
        assert found.log.progress == progress
    with running(Process(command, tmp_path / "last.log")) as program:
        assert program.wait() == 0
    assert len(OwnTable(tmp_path).log.files()) == 1


def newest_version(table: OwnTable) -> int:
    return int(deltalake.DeltaTable(str(table.folder)).version())


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
