"""How far behind Kafka a query is."""

from spark_jobs.run.lag import Lag, LagClock


def offsets(*partitions: int) -> dict[str, dict[str, int]]:
    return {"binance_raw_data": {str(number): offset for number, offset in enumerate(partitions)}}


def test_query_that_has_read_all_that_was_there_is_not_behind() -> None:
    assert LagClock().after_batch(100.0, offsets(5, 7), offsets(5, 7)) == Lag(0, 0.0)


def test_lag_counts_from_when_the_oldest_unread_end_was_heard_of() -> None:
    clock = LagClock()
    assert clock.after_batch(100.0, offsets(10, 0), offsets(30, 10)) == Lag(30, 0.0)
    assert clock.after_batch(102.0, offsets(20, 10), offsets(60, 10)) == Lag(40, 2.0)
    # The end of second 100 is read; that of second 102 is not.
    assert clock.after_batch(105.0, offsets(50, 10), offsets(60, 20)) == Lag(20, 3.0)
    assert clock.after_batch(106.0, offsets(60, 20), offsets(60, 20)) == Lag(0, 0.0)


def test_quiet_topic_keeps_the_time_at_which_its_end_was_first_heard_of() -> None:
    clock = LagClock()
    clock.after_batch(100.0, offsets(0), offsets(9))
    assert clock.after_batch(107.0, offsets(3), offsets(9)) == Lag(6, 7.0)
