"""Write the tickers' Delta table: repeated batches, other writers, foreign tables, topics, upkeep."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import deltalake
import pytest
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.checkpoint_offsets import checkpoint_offsets
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.topic_ids import TopicError, TopicIds
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.tickers.log import TickerLog
from spark_jobs.lake.tickers.progress import Progress, TableError
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.lake.tickers.upkeep import TickerUpkeep
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIPT, item, record, records
from tests.support.lake import tickers

TOPIC_PARTITION = (BINANCE.raw_topic, 0)

# A Kafka without topic ids.
NO_IDS: TopicIds = {}


class Job:
    """One run of the job, in which each batch ends at its last record."""

    def __init__(self, spark: SparkSession, root: str | Path, ids: TopicIds = NO_IDS) -> None:
        self._spark = spark
        self._end: Offsets = {}
        if isinstance(root, Path):
            root = f"file:{root}"
        self.table = TickerTable(spark, root, lambda: self._end, retention_days=90)
        self.resumed_at = self.table.resume(ids)

    def write(self, *batch: tuple[int, Sequence[object]]) -> None:
        """Write a batch of partition 0: pairs of offset and items."""
        last = max(offset for offset, _items in batch)
        self._end = {TOPIC_PARTITION: last + 1}
        self.table.write(self._records(*batch), 0)

    def _records(self, *batch: tuple[int, Sequence[object]]) -> DataFrame:
        rows = [record(items, offset=offset) for offset, items in batch]
        return records(self._spark, *rows)


@pytest.fixture
def job(spark: SparkSession, tmp_path: Path) -> Job:
    return Job(spark, tmp_path)


def offsets(root: Path) -> list[tuple[int, int]]:
    """Return offset and position of all tickers, as read without Spark."""
    rows = deltalake.DeltaTable(str(root / "tickers")).to_pyarrow_table(
        columns=["offset", "position"]
    )
    return sorted((row["offset"], row["position"]) for row in rows.to_pylist())


def test_records_of_an_earlier_batch_change_nothing_and_dead_letters_are_left_out(
    job: Job, tmp_path: Path
) -> None:
    first = (0, [item(BTCUSDT), "bad", item(ETHUSDT)])
    job.write(first)
    assert job.table.counts(0) == {"ticks": 3, "dead": 1}
    job.write(first)
    job.write(first, (1, [item(ETHUSDT)]))
    assert offsets(tmp_path) == [(0, 0), (0, 2), (1, 0)]
    assert job.table.progress() == {TOPIC_PARTITION: 2}
    table = deltalake.DeltaTable(str(tmp_path / "tickers"))
    row = table.to_pyarrow_table(filters=[("symbol", "=", "BTCUSDT")]).to_pylist()[0]
    assert (row["price"], row["received_at"]) == (Decimal("85439.99"), RECEIPT)
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
    assert second.resumed_at == {TOPIC_PARTITION: 6}
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


def test_the_upkeep_keeps_up_a_table_on_s3(spark: SparkSession, lake: Settings) -> None:
    root = lake_root(lake)
    job = Job(spark, root)
    job.write((0, [item(BTCUSDT), item(ETHUSDT)]))
    job.write((1, [item(BTCUSDT)]))
    path = f"{root}/tickers"
    options = delta_options(spark, path)
    log = TickerLog.open(path, options, "upkeep")
    day_is_over = datetime.now(UTC) + timedelta(hours=2)
    assert TickerUpkeep(log, path, options, 10_000).look(day_is_over)
    [file] = log.files()
    assert (file.first_symbol, file.last_symbol) == ("BTCUSDT", "ETHUSDT")
    expected = [(BINANCE.raw_topic, 0, *place) for place in ((0, 0), (0, 1), (1, 0))]
    assert tickers(lake) == expected
    assert Job(spark, root).resumed_at == {TOPIC_PARTITION: 2}
    assert not TickerUpkeep(log, path, options, 90).look(day_is_over)
    assert tickers(lake) == []
    assert Job(spark, root).resumed_at == {TOPIC_PARTITION: 2}


def test_a_topic_that_was_created_again_is_refused_until_it_is_accepted(
    spark: SparkSession, tmp_path: Path
) -> None:
    ids = {BINANCE.raw_topic: "old", KUCOIN.raw_topic: "same"}
    Job(spark, tmp_path, ids).write((4, [item(BTCUSDT)]))
    assert Job(spark, tmp_path, ids).resumed_at == {TOPIC_PARTITION: 5}

    renewed = {**ids, BINANCE.raw_topic: "new"}
    with pytest.raises(TopicError, match=r"tickers/ holds .*make accept-topics"):
        Job(spark, tmp_path, renewed)
    table = TickerTable(spark, f"file:{tmp_path}", dict, retention_days=90)
    assert table.accept(renewed) == [BINANCE.raw_topic]
    assert table.accept(renewed) == []

    job = Job(spark, tmp_path, renewed)
    assert job.resumed_at == {}
    job.write((4, [item(ETHUSDT)]))
    assert offsets(tmp_path) == [(4, 0), (4, 0)]
    with pytest.raises(TopicError):
        Job(spark, tmp_path, ids)


def test_topics_whose_ids_were_not_known_resume_and_are_known_from_the_next_commit_on(
    spark: SparkSession, tmp_path: Path
) -> None:
    Job(spark, tmp_path).write((4, [item(BTCUSDT)]))
    job = Job(spark, tmp_path, {BINANCE.raw_topic: "one"})
    assert job.resumed_at == {TOPIC_PARTITION: 5}
    job.write((5, []))
    with pytest.raises(TopicError, match="one"):
        Job(spark, tmp_path, {BINANCE.raw_topic: "other"})
    assert Job(spark, tmp_path).resumed_at == {TOPIC_PARTITION: 6}


def test_progress_is_read_back_and_what_others_write_is_none() -> None:
    progress = Progress("w", 3, {("a", 0): 5, ("a", 10): 6, ("b", 1): 7}, {"a": "id"})
    assert Progress.from_json(progress.to_json()) == progress
    for foreign in (None, "", "by hand", "[]", "{}", '{"next_offsets": 1}'):
        assert Progress.from_json(foreign) is None


def test_progress_of_version_0_1_0_has_no_ids() -> None:
    text = '{"writer": "w", "batch": 1, "next_offsets": {"a": {"0": 7}}}'
    assert Progress.from_json(text) == Progress("w", 1, {("a", 0): 7}, {})


def test_the_end_of_the_batch_being_written_is_that_of_the_newest_entry(tmp_path: Path) -> None:
    folder = tmp_path / "a b" / "offsets"
    folder.mkdir(parents=True)
    for number, offset in ((9, 90), (10, 100)):
        (folder / str(number)).write_text(f'v1\n{{"conf":{{}}}}\n{{"t":{{"0":{offset}}}}}')
        (folder / f".{number}.crc").write_text("")
    assert checkpoint_offsets((tmp_path / "a b").as_uri()) == {("t", 0): 100}
