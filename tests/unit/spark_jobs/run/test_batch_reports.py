"""Reports of batches: the log lines and the metrics."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from pyspark.sql import DataFrame

from core.settings import Settings
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.run.batch_reports import BatchReports
from spark_jobs.run.metrics import JobMetrics, outcomes
from spark_jobs.run.runner import lag_limit
from spark_jobs.run.sink import Counts, Sink
from spark_jobs.tickers.reading import LastMinute, Reading, Share

RECEIVED_AT = datetime(2025, 3, 28, 7, 37, 28, tzinfo=UTC)


class SinkOfReadings(Sink):
    """Sink that returns the readings passed to `wrote`, and keeps the last minute as PriceSink does."""

    query = "live_prices"

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._last_minute = LastMinute(lambda: self.now)
        self._new_readings: list[Reading] = []

    def wrote(self, batch_id: int, reading: Reading, **counts: int) -> None:
        self._counts[batch_id] = counts
        self._new_readings.append(reading)
        self._last_minute.add(reading)

    def progress(self) -> Offsets:
        return {}

    def newest(self) -> Mapping[str, datetime]:
        return {"kucoin": RECEIVED_AT}

    def new_readings(self) -> list[Reading]:
        readings, self._new_readings = self._new_readings, []
        return readings

    def unreadable(self) -> Mapping[str, Share]:
        return self._last_minute.shares()

    def _write_batch(self, batch: DataFrame) -> Counts:
        raise NotImplementedError


class SinkOfSmallTopics(SinkOfReadings):
    query = "small_topics"


@pytest.fixture
def sink() -> SinkOfReadings:
    return SinkOfReadings()


@pytest.fixture
def metrics() -> JobMetrics:
    return JobMetrics()


@pytest.fixture
def reports(
    sink: SinkOfReadings, metrics: JobMetrics, caplog: pytest.LogCaptureFixture
) -> BatchReports:
    caplog.set_level("INFO", "spark_jobs.run.batch_reports")
    reports = BatchReports(metrics)
    reports.watch(sink)
    return reports


def progress(batch_id: int, messages: int = 8, query: str = "live_prices") -> dict[str, Any]:
    """Return Spark's report of a batch that read all messages except two."""
    return {
        "name": query,
        "batchId": batch_id,
        "numInputRows": messages,
        "durationMs": {"addBatch": 171, "triggerExecution": 262},
        "sources": [
            {
                "endOffset": {"kucoin_raw_data": {"0": 10}},
                "latestOffset": {"kucoin_raw_data": {"0": 12}},
            }
        ],
    }


def kucoin(tickers: int, dead: int = 0, without_price: int = 0) -> Reading:
    unread = {"bid is empty": {"count": 12}, "price is absent": {"count": without_price}}
    dead_letters = {"sequence is missing": dead} if dead else {}
    return {"kucoin": {"tickers": tickers, "dead_letters": dead_letters, "unread": unread}}


def other_records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return level and text of every log record that is not the line of a batch."""
    return [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if not record.getMessage().startswith("query=")
    ]


def value(metrics: JobMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_batch_has_a_line_in_the_log_and_its_metrics(
    sink: SinkOfReadings,
    metrics: JobMetrics,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink.wrote(311, {}, ticks=1003, written=871)

    reports.report(progress(311))

    (line,) = [record.getMessage() for record in caplog.records]
    line, _, age = line.rpartition("=")
    assert line == (
        "query=live_prices batch=311 messages=8 ticks=1003 written=871 addBatch=0.171"
        " triggerExecution=0.262 lag_messages=2 lag_seconds=0.0 kucoin_age"
    )
    assert float(age) > 0
    assert value(metrics, "job_messages_total", query="live_prices") == 8
    assert value(metrics, "job_rows_total", query="live_prices", outcome="written") == 871
    assert value(metrics, "job_items_total", query="live_prices", outcome="superseded") == 132
    assert value(metrics, "job_lag_messages", query="live_prices") == 2
    newest = value(metrics, "job_newest_price_timestamp_seconds", exchange="kucoin")
    assert newest == RECEIVED_AT.timestamp()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (
            {"ticks": 10, "written": 4, "refused": 1, "dead": 2, "unread": 5, "without_candle": 3},
            {"written": 4, "superseded": 3, "outdated": 1, "dead": 2},
        ),
        ({"ticks": 3, "dead": 1}, {"written": 2, "dead": 1}),
        ({"rows": 5, "dead": 0}, {"written": 5, "dead": 0}),
        ({"rows": 1, "old": 0, "requests": 0, "dead": 1}, {"written": 0, "dead": 1}),
    ],
)
def test_each_item_of_a_batch_has_one_outcome(
    counts: dict[str, int], expected: dict[str, int]
) -> None:
    assert outcomes(counts) == expected


@pytest.mark.parametrize("unseen", [progress(1, messages=0), progress(1, query="raw_archive")])
def test_a_batch_without_messages_and_a_query_that_is_not_watched_have_no_line(
    sink: SinkOfReadings,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
    unseen: dict[str, Any],
) -> None:
    sink.wrote(1, kucoin(0, dead=1))

    reports.report(unseen)

    assert caplog.records == []


def test_what_could_not_be_read_is_counted_by_exchange_and_cause(
    sink: SinkOfReadings, metrics: JobMetrics, reports: BatchReports
) -> None:
    for batch_id in (1, 2):
        sink.wrote(batch_id, kucoin(5, dead=2, without_price=1))
        reports.report(progress(batch_id))

    def count(kind: str, cause: str) -> float | None:
        labels = {"exchange": "kucoin", "kind": kind, "cause": cause}
        return value(metrics, "job_unreadable_total", **labels)

    assert count("dead_letter", "sequence is missing") == 4
    assert count("unread", "price is absent") == 2
    assert count("unread", "bid is empty") == 24


@pytest.mark.parametrize(
    ("query", "lake_batch_seconds", "limit"),
    [
        ("live_prices", 3600, 300),
        ("raw_archive", 60, 300),
        ("price_history", 3600, 3840),
        ("raw_archive", 1, 241),
    ],
)
def test_limit_of_the_lag_is_exported_and_follows_the_batches_of_the_lake(
    metrics: JobMetrics, query: str, lake_batch_seconds: int, limit: float
) -> None:
    settings = Settings(lake_batch_seconds=lake_batch_seconds)
    metrics.expect(query, lag_limit(query, settings))
    assert value(metrics, "job_lag_limit_seconds", query=query) == limit


def test_errors_are_counted_as_zero_before_the_first_one(metrics: JobMetrics) -> None:
    metrics.expect("live_prices", lag_limit=300)
    metrics.expect_causes(["sequence is missing"])
    assert value(metrics, "job_failed_attempts_total", query="live_prices") == 0
    assert value(metrics, "job_items_total", query="live_prices", outcome="dead") == 0
    for exchange in ("binance", "kucoin"):
        labels = {"exchange": exchange, "kind": "dead_letter", "cause": "sequence is missing"}
        assert value(metrics, "job_unreadable_total", **labels) == 0


def test_more_than_half_of_a_minute_unreadable_is_a_warning_with_its_cause_and_said_once(
    sink: SinkOfReadings,
    metrics: JobMetrics,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def batch(batch_id: int, reading: Reading) -> float | None:
        sink.wrote(batch_id, reading)
        reports.report(progress(batch_id))
        return value(metrics, "job_unreadable_share", exchange="kucoin")

    assert batch(1, kucoin(4, dead=4)) == 0.5
    assert other_records(caplog) == []
    assert batch(2, kucoin(0, dead=1, without_price=1)) == 0.6
    assert batch(3, kucoin(0, without_price=30)) == 0.9
    warning = "unreadable exchange=kucoin share=0.600 cause='sequence is missing'"
    assert other_records(caplog) == [("WARNING", warning)]

    sink.now = 60.1
    assert batch(4, kucoin(9, without_price=1)) == 0.1
    assert other_records(caplog)[1:] == [("INFO", "readable exchange=kucoin")]


def test_an_exchange_that_falls_silent_after_the_fault_has_a_share_of_zero(
    sink: SinkOfReadings,
    metrics: JobMetrics,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink.wrote(1, kucoin(0, dead=9))
    reports.report(progress(1))
    sink.now = 60.1
    sink.wrote(2, {"binance": {"tickers": 9, "dead_letters": {}, "unread": {}}})
    reports.report(progress(2))
    assert value(metrics, "job_unreadable_share", exchange="kucoin") == 0
    assert other_records(caplog)[1:] == [("INFO", "readable exchange=kucoin")]


def test_a_batch_of_another_query_says_nothing_about_the_shares(
    sink: SinkOfReadings,
    metrics: JobMetrics,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports.watch(SinkOfSmallTopics())
    sink.wrote(1, kucoin(0, dead=9))
    reports.report(progress(1))
    reports.report(progress(1, query="small_topics"))
    assert value(metrics, "job_unreadable_share", exchange="kucoin") == 1
    assert [level for level, _text in other_records(caplog)] == ["WARNING"]


def test_another_exchange_has_a_share_of_its_own(
    sink: SinkOfReadings,
    metrics: JobMetrics,
    reports: BatchReports,
    caplog: pytest.LogCaptureFixture,
) -> None:
    healthy = {"binance": {"tickers": 9, "dead_letters": {}, "unread": {}}}
    sink.wrote(1, {**healthy, **kucoin(0, without_price=7)})

    reports.report(progress(1))

    assert [text.split(" share")[0] for _level, text in other_records(caplog)] == [
        "unreadable exchange=kucoin"
    ]
    assert value(metrics, "job_unreadable_share", exchange="binance") == 0
    assert value(metrics, "job_unreadable_share", exchange="kucoin") == 1
