"""Test when a batch is ready, and that no line is lost, duplicated or reordered."""

from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.message import partition_of
from extractors.journal.reader import Line
from extractors.to_kafka.batcher import Batch, Batcher
from tests.support.journals import line


def positions(batches: Iterable[Batch]) -> list[list[int]]:
    return [[each.position for each in batch.lines] for batch in batches]


def test_batch_is_ready_one_second_after_its_first_line() -> None:
    batcher = Batcher(1.0)
    assert batcher.add([line(1, "A")], now=10.0) == []
    assert batcher.add([line(2, "B")], now=10.9) == []
    assert batcher.ready(now=10.99) == []
    assert batcher.ready(now=11.0) == [Batch([line(1, "A"), line(2, "B")])]
    assert batcher.ready(now=12.0) == []


def test_age_limit_is_the_feeds_own() -> None:
    batcher = Batcher(0.1)
    batcher.add([line(1)], now=10.0)
    assert batcher.seconds_left(now=10.0) == pytest.approx(0.1)
    assert batcher.ready(now=10.09) == []
    assert positions(batcher.ready(now=10.11)) == [[1]]


def test_batch_of_a_feed_of_arrays_is_ready_at_once() -> None:
    batcher = Batcher(0.0)
    assert positions(batcher.add([line(1, "A"), line(2, "B")], now=10.0)) == [[1, 2]]
    assert positions(batcher.add([line(3, "A")], now=10.0)) == [[3]]
    assert batcher.seconds_left(now=10.0) == float("inf")
    lines = [line(4, endpoint="one"), line(5, endpoint="two")]
    assert positions(batcher.add(lines, now=10.0)) == [[4], [5]]
    assert batcher.flush() == []


def test_lines_that_come_after_the_age_limit_go_with_the_batch() -> None:
    batcher = Batcher(1.0)
    batcher.add([line(1)], now=10.0)
    assert positions(batcher.add([line(2), line(3)], now=11.5)) == [[1, 2, 3]]


def test_batch_is_ready_at_the_age_limit_though_no_line_comes() -> None:
    batcher = Batcher(1.0)
    batcher.add([line(1)], now=10.0)
    assert batcher.add([], now=10.9) == []
    assert positions(batcher.add([], now=11.0)) == [[1]]


def test_hundred_lines_of_one_symbol_make_the_whole_buffer_ready() -> None:
    batcher = Batcher(1.0)
    batcher.add([line(0, "B")], now=0.0)
    for number in range(1, 100):
        assert batcher.add([line(number, "A")], now=0.1) == []
    assert positions(batcher.add([line(100, "A")], now=0.1)) == [list(range(101))]


def test_many_lines_at_once_are_a_batch_for_each_hundred() -> None:
    batcher = Batcher(1.0)
    batches = batcher.add([line(number) for number in range(250)], now=0.0)
    assert positions(batches) == [list(range(100)), list(range(100, 200))]
    assert positions(batcher.ready(now=1.0)) == [list(range(200, 250))]


def test_many_lines_of_different_symbols_wait_for_the_age_limit() -> None:
    batcher = Batcher(1.0)
    assert batcher.add([line(n, f"S{n}") for n in range(1_000)], now=0.0) == []
    assert positions(batcher.ready(now=1.0)) == [list(range(1_000))]


def test_lines_of_an_earlier_batch_do_not_count_towards_the_hundred() -> None:
    batcher = Batcher(1.0)
    batcher.add([line(n) for n in range(99)], now=0.0)
    batcher.ready(now=1.0)
    assert batcher.add([line(n) for n in range(99)], now=1.0) == []


def test_batch_ends_where_the_endpoint_changes() -> None:
    one, two = line(1, endpoint="one"), line(2, endpoint="two")
    batcher = Batcher(1.0)
    batcher.add([one], now=0.0)
    assert batcher.add([two], now=0.5) == [Batch([one])]
    assert batcher.ready(now=1.4) == []
    assert batcher.ready(now=1.5) == [Batch([two])]


def test_no_lines_begin_no_batch() -> None:
    batcher = Batcher(1.0)
    assert batcher.add([], now=0.0) == []
    assert batcher.seconds_left(now=0.5) == float("inf")
    batcher.add([line(1)], now=0.9)
    assert batcher.ready(now=1.8) == []
    assert positions(batcher.ready(now=1.9)) == [[1]]


def test_the_remaining_time_is_returned() -> None:
    batcher = Batcher(1.0)
    assert batcher.seconds_left(now=0.0) == float("inf")
    batcher.add([line(1)], now=5.0)
    assert batcher.seconds_left(now=5.25) == 0.75
    assert batcher.seconds_left(now=7.0) == 0.0
    batcher.flush()
    assert batcher.seconds_left(now=7.0) == float("inf")


def test_the_time_of_the_oldest_buffered_item_is_returned() -> None:
    batcher = Batcher(1.0)
    assert batcher.received_at is None
    batcher.add([line(7), line(8)], now=0.0)
    batcher.add([line(9)], now=0.5)
    assert batcher.received_at == 7
    batcher.ready(now=1.0)
    assert batcher.received_at is None


def test_flush_takes_what_is_there_ready_or_not() -> None:
    batcher = Batcher(1.0)
    batcher.add([line(1)], now=0.0)
    assert positions(batcher.flush()) == [[1]]
    assert batcher.flush() == []


def test_batch_knows_its_endpoint_its_oldest_item_and_where_the_journal_goes_on() -> None:
    batch = Batch([line(7, endpoint="kucoin.com"), line(9, endpoint="kucoin.com")])
    assert (batch.endpoint, batch.received_at, batch.end) == ("kucoin.com", 7, 10)


ARRIVALS = st.lists(
    st.tuples(
        st.floats(0.0, 0.6),
        st.sampled_from(["one", "two"]),
        st.lists(st.sampled_from(["A", "B", "币"]), max_size=60),
    )
)


@given(ARRIVALS, st.sampled_from([0.0, 0.1, 1.0]))
def test_what_goes_in_comes_out_once_and_in_order(
    arrivals: list[tuple[float, str, list[str]]], age_limit: float
) -> None:
    batcher, now, number = Batcher(age_limit), 0.0, count()
    arrived: list[Line] = []
    batches: list[Batch] = []
    for pause, endpoint, symbols in arrivals:
        now += pause
        batches += batcher.ready(now)
        lines = [line(next(number), symbol, endpoint) for symbol in symbols]
        arrived += lines
        batches += batcher.add(lines, now)
        assert age_limit or not batcher.flush()
    batches += batcher.flush()
    assert [each for batch in batches for each in batch.lines] == arrived
    for batch in batches:
        assert {each.endpoint for each in batch.lines} == {batch.endpoint}


@given(st.lists(st.sampled_from(["BTCUSDT", "ETH-USDT", "币安人生USDT", ""])), st.integers(1, 8))
def test_each_symbol_has_one_partition_and_keeps_its_order(
    symbols: list[str], partitions: int
) -> None:
    lines = [line(number, symbol) for number, symbol in enumerate(symbols)]
    expected: dict[int, list[Line]] = {}
    for each in lines:
        expected.setdefault(partition_of(each.symbol, partitions), []).append(each)
    found = Batch(lines).by_partition(lambda symbol, _: partition_of(symbol, partitions))
    assert found == expected


@given(st.lists(st.sampled_from(["A", "B"])), st.lists(st.integers(0, 3), min_size=50))
def test_partition_may_depend_on_the_position(symbols: list[str], partitions: list[int]) -> None:
    """As when the topic got more partitions after an item was received."""
    lines = [line(number, symbol) for number, symbol in enumerate(symbols[:50])]
    asked: list[tuple[str, int]] = []

    def partition(symbol: str, position: int) -> int:
        asked.append((symbol, position))
        return partitions[position]

    found = Batch(lines).by_partition(partition)
    assert asked == [(each.symbol, each.position) for each in lines]
    assert found == {
        n: [each for each in lines if partitions[each.position] == n]
        for n in {partitions[each.position] for each in lines}
    }
