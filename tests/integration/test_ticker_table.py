"""The tickers' Delta table, written to a folder: batches again, another writer, foreign tables, upkeep."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import deltalake
import pytest
from pyspark.sql import DataFrame, SparkSession

from core.topics import BINANCE_RAW_DATA
from spark_jobs.batch_end import batch_end
from spark_jobs.sources import Offsets
from spark_jobs.ticker_table import Progress, TableError, TickerTable
from spark_jobs.ticker_upkeep import TickerUpkeep
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIVED_AT, item, record, records

DAY = timedelta(days=1)
RECEIVED_ON = datetime.fromtimestamp(RECEIVED_AT / 1e6, UTC)


class Job:
    """One run of the job. Each batch ends at its last record."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self._spark = spark
        self._end: Offsets = {}
        self.table = TickerTable(spark, f"file:{root}", lambda: self._end, retention_days=90)
        self.resumed_at = self.table.resume()

    def write(self, *batch: tuple[int, Sequence[object]]) -> None:
        """Offsets of partition 0, and the items at each."""
        last = max(offset for offset, _items in batch)
        self._end = {(BINANCE_RAW_DATA, 0): last + 1}
        self.table.write(self._records(*batch), 0)

    def _records(self, *batch: tuple[int, Sequence[object]]) -> DataFrame:
        rows = [record(items, offset=offset) for offset, items in batch]
        return records(self._spark, *rows)


@pytest.fixture
def job(spark: SparkSession, tmp_path: Path) -> Job:
    return Job(spark, tmp_path)


def offsets(root: Path) -> list[tuple[int, int]]:
    """As a reader who knows nothing of Spark finds them."""
    rows = deltalake.DeltaTable(str(root / "tickers")).to_pyarrow_table(
        columns=["offset", "position"]
    )
    return sorted((row["offset"], row["position"]) for row in rows.to_pylist())


def test_a_batch_again_and_an_older_one_change_nothing_and_dead_letters_are_left_out(
    job: Job, tmp_path: Path
) -> None:
    first = (0, [item(BTCUSDT), "bad", item(ETHUSDT)])
    job.write(first)
    assert job.table.counts(0) == {"ticks": 3, "dead": 1}
    job.write(first)
    job.write(first, (1, [item(ETHUSDT)]))
    assert offsets(tmp_path) == [(0, 0), (0, 2), (1, 0)]
    table = deltalake.DeltaTable(str(tmp_path / "tickers"))
    row = table.to_pyarrow_table(filters=[("symbol", "=", "BTCUSDT")]).to_pylist()[0]
    assert (row["price"], row["received_at"]) == (Decimal("85439.99"), RECEIVED_ON)
    assert (str(row["date"]), row["exchange"]) == ("2025-03-28", "binance")


def test_a_restart_resumes_where_the_newest_commit_of_the_job_says_though_others_follow_it(
    spark: SparkSession, job: Job, tmp_path: Path
) -> None:
    job.write((4, [item(BTCUSDT)]))
    job.write((5, []))
    by_hand = deltalake.DeltaTable(str(tmp_path / "tickers"))
    by_hand.optimize.compact()
    by_hand.delete("symbol = 'none'")
    second = Job(spark, tmp_path)
    assert second.resumed_at == {(BINANCE_RAW_DATA, 0): 6}
    second.write((5, []), (6, [item(ETHUSDT)]))
    assert offsets(tmp_path) == [(4, 0), (6, 0)]


def test_a_second_writer_is_refused_and_doubles_nothing(
    spark: SparkSession, job: Job, tmp_path: Path
) -> None:
    job.write((0, [item(BTCUSDT)]))
    second = Job(spark, tmp_path)
    job.write((1, [item(ETHUSDT)]))
    with pytest.raises(TableError, match="another price_history"):
        second.write((1, [item(ETHUSDT)]), (2, [item(BTCUSDT)]))
    assert offsets(tmp_path) == [(0, 0), (1, 0)]


def test_a_table_of_someone_else_and_a_folder_of_other_files_are_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    spark.range(1).write.format("delta").save(str(tmp_path / "foreign" / "tickers"))
    spark.range(1).write.parquet(str(tmp_path / "parquet" / "tickers"))
    for name in ("foreign", "parquet"):
        with pytest.raises(TableError, match=f"{name}/tickers"):
            Job(spark, tmp_path / name)


def test_upkeep_drops_old_days_joins_files_and_keeps_how_far_the_table_is(
    spark: SparkSession, job: Job, tmp_path: Path
) -> None:
    now = RECEIVED_ON + 91 * DAY
    new = int(now.timestamp() * 1e6)
    job.write((0, [item(BTCUSDT)]), (1, [item(BTCUSDT, new)]))
    job.write((2, [item(ETHUSDT, new)]))
    TickerUpkeep(spark, f"file:{tmp_path}/tickers", 90).run(now)
    assert offsets(tmp_path) == [(1, 0), (2, 0)]
    assert len(deltalake.DeltaTable(str(tmp_path / "tickers")).file_uris()) == 1
    assert Job(spark, tmp_path).resumed_at == {(BINANCE_RAW_DATA, 0): 3}


def test_progress_is_read_back_and_what_others_write_is_none() -> None:
    progress = Progress("w", 3, {("a", 0): 5, ("a", 10): 6, ("b", 1): 7})
    assert Progress.from_json(progress.to_json()) == progress
    for foreign in (None, "", "by hand", "[]", "{}", '{"next_offsets": 1}'):
        assert Progress.from_json(foreign) is None


def test_the_end_of_the_batch_being_written_is_that_of_the_newest_entry(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "offsets"
    folder.mkdir(parents=True)
    for number, offset in ((9, 90), (10, 100)):
        (folder / str(number)).write_text(f'v1\n{{"conf":{{}}}}\n{{"t":{{"0":{offset}}}}}')
        (folder / f".{number}.crc").write_text("")
    assert batch_end((tmp_path / "a b").as_uri()) == {("t", 0): 100}
