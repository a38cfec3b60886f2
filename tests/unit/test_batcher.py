"""When a batch is ready, and that nothing is lost, doubled or turned round in it."""

from collections.abc import Iterable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from core.message import Item, partition_of
from extractors.batcher import Batch, Batcher
from extractors.feed import RawData
from extractors.kucoin import KucoinRawData
from extractors.notices import Frame


def ticker(symbol: str, number: int = 0) -> KucoinRawData:
    return KucoinRawData({"subject": symbol, "number": number}, received_at=number)


def frame(*raw_data: RawData, endpoint: str = "kucoin.com") -> Frame:
    return Frame(1, 0, endpoint, list(raw_data), size=100)


def numbers(batches: Iterable[Batch]) -> list[int]:
    return [each.item()["number"] for batch in batches for each in batch.raw_data]


def test_batch_is_ready_one_second_after_its_first_message() -> None:
    batcher = Batcher()
    assert batcher.add(frame(ticker("A", 1)), now=10.0) == []
    assert batcher.add(frame(ticker("B", 2)), now=10.9) == []
    assert batcher.ready(now=10.99) == []
    assert batcher.ready(now=11.0) == [Batch("kucoin.com", [ticker("A", 1), ticker("B", 2)])]
    assert batcher.ready(now=12.0) == []


def test_frame_that_comes_after_the_second_goes_with_the_batch() -> None:
    batcher = Batcher()
    batcher.add(frame(ticker("A", 1)), now=10.0)
    assert numbers(batcher.add(frame(ticker("A", 2)), now=11.5)) == [1, 2]


def test_hundred_messages_of_one_symbol_make_the_whole_buffer_ready() -> None:
    batcher = Batcher()
    batcher.add(frame(ticker("B", 0)), now=0.0)
    for number in range(1, 100):
        assert batcher.add(frame(ticker("A", number)), now=0.1) == []
    assert numbers(batcher.add(frame(ticker("A", 100)), now=0.1)) == list(range(101))


def test_hundred_messages_of_many_symbols_wait_for_the_second() -> None:
    batcher = Batcher()
    assert batcher.add(frame(*(ticker(f"S{n}", n) for n in range(1_000))), now=0.0) == []
    assert numbers(batcher.ready(now=1.0)) == list(range(1_000))


def test_messages_before_the_last_batch_do_not_count_towards_the_hundred() -> None:
    batcher = Batcher()
    batcher.add(frame(*(ticker("A", n) for n in range(99))), now=0.0)
    batcher.ready(now=1.0)
    assert batcher.add(frame(*(ticker("A", n) for n in range(99))), now=1.0) == []


def test_batch_ends_where_the_endpoint_changes() -> None:
    batcher = Batcher()
    batcher.add(frame(ticker("A", 1), endpoint="one"), now=0.0)
    assert batcher.add(frame(ticker("A", 2), endpoint="two"), now=0.5) == [
        Batch("one", [ticker("A", 1)])
    ]
    assert batcher.ready(now=1.4) == []
    assert batcher.ready(now=1.5) == [Batch("two", [ticker("A", 2)])]


def test_frame_without_anything_begins_no_batch() -> None:
    batcher = Batcher()
    assert batcher.add(frame(), now=0.0) == []
    assert batcher.seconds_left(now=0.5) == float("inf")
    batcher.add(frame(ticker("A", 1)), now=0.9)
    assert batcher.ready(now=1.8) == []
    assert numbers(batcher.ready(now=1.9)) == [1]


def test_time_that_is_left_is_told() -> None:
    batcher = Batcher()
    assert batcher.seconds_left(now=0.0) == float("inf")
    batcher.add(frame(ticker("A")), now=5.0)
    assert batcher.seconds_left(now=5.25) == 0.75
    assert batcher.seconds_left(now=7.0) == 0.0
    batcher.flush()
    assert batcher.seconds_left(now=7.0) == float("inf")


def test_flush_takes_what_is_there_ready_or_not() -> None:
    batcher = Batcher()
    batcher.add(frame(ticker("A", 1)), now=0.0)
    assert numbers(batcher.flush()) == [1]
    assert batcher.flush() == []


ARRIVALS = st.lists(
    st.tuples(
        st.floats(0.0, 0.6),
        st.sampled_from(["one", "two"]),
        st.lists(st.sampled_from(["A", "B", "币"]), max_size=60),
    )
)


@given(ARRIVALS)
def test_what_goes_in_comes_out_once_and_in_order(
    arrivals: list[tuple[float, str, list[str]]],
) -> None:
    batcher, now, number = Batcher(), 0.0, count()
    arrived: list[tuple[str, RawData]] = []
    batches: list[Batch] = []
    for pause, endpoint, symbols in arrivals:
        now += pause
        batches += batcher.ready(now)
        raw_data = [ticker(symbol, next(number)) for symbol in symbols]
        arrived += [(endpoint, each) for each in raw_data]
        batches += batcher.add(frame(*raw_data, endpoint=endpoint), now)
    batches += batcher.flush()
    assert [(batch.endpoint, each) for batch in batches for each in batch.raw_data] == arrived


@given(st.lists(st.sampled_from(["BTCUSDT", "ETH-USDT", "币安人生USDT", ""])), st.integers(1, 8))
def test_each_symbol_has_one_partition_and_keeps_its_order(
    symbols: list[str], partitions: int
) -> None:
    raw_data = [ticker(symbol, number) for number, symbol in enumerate(symbols)]
    by_partition = Batch("kucoin.com", raw_data).by_partition(partitions)
    expected: dict[int, list[Item]] = {}
    for each in raw_data:
        expected.setdefault(partition_of(each.symbol, partitions), []).append(each.item())
    assert by_partition == expected
