from datetime import UTC, datetime, timedelta

from spark_jobs.history.reach import cut_partitions

TOPIC = "kucoin_raw_data"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
MONTH_AGO, YESTERDAY = NOW - timedelta(days=30), NOW - timedelta(days=1)


def test_partition_that_was_added_lately_has_lost_nothing() -> None:
    begins = {(TOPIC, 0): 1000, (TOPIC, 1): 0}
    stamped = {(TOPIC, 0): MONTH_AGO, (TOPIC, 1): YESTERDAY}
    # Candles are kept longer than raw/, so the topic counts as created with its first record.
    assert cut_partitions(begins, stamped, {TOPIC: MONTH_AGO}) == {
        (TOPIC, 0): MONTH_AGO,
        (TOPIC, 1): MONTH_AGO,
    }


def test_partition_from_its_beginning_on_is_cut_only_where_the_topic_was_created_again() -> None:
    begins, stamped = {(TOPIC, 0): 0}, {(TOPIC, 0): YESTERDAY}
    assert cut_partitions(begins, stamped, {}) == {}
    assert cut_partitions(begins, stamped, {TOPIC: YESTERDAY}) == {(TOPIC, 0): YESTERDAY}
