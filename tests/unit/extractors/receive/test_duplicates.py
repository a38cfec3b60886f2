"""Test that a ticker from two connections is kept once, and that repeats by one connection are kept."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from exchanges.exchange import RawData, Received, UnreadableRawData
from exchanges.kucoin import KucoinSession
from extractors.receive.duplicates import MAX_SUCCESSOR_LAG_US, SEQUENCES_PER_SYMBOL, Duplicates
from extractors.receive.notices import Ended, Frame, Opening

Arrival = tuple[int, str, int]
"""Connection, symbol and sequence."""


SECOND = 1_000_000


def ticker(symbol: str, sequence: int | None, text: bytes = b"{}") -> RawData:
    return RawData(text, symbol, sequence)


def frame(connection: int, *raw_data: Received, at: int = 0) -> Frame:
    return Frame(connection, at, "kucoin.com", list(raw_data), size=100)


def opened(*connections: int) -> Duplicates:
    doubles = Duplicates()
    for connection in connections:
        doubles.opening(Opening(connection, 0))
    return doubles


def end(doubles: Duplicates, connection: int, at: int = 0) -> None:
    doubles.ended(Ended(connection, at, "closed", "closed: 1001"))


def brought(
    doubles: Duplicates, connection: int, sequences: Iterable[int], at: int = 0, symbol: str = "A"
) -> list[int]:
    """Return the symbol's sequences that are not discarded."""
    out: list[int] = []
    for sequence in sequences:
        for each in doubles.without(frame(connection, ticker(symbol, sequence), at=at)).raw_data:
            assert each.sequence == sequence
            out.append(sequence)
    return out


def test_second_connection_brings_only_what_the_first_did_not() -> None:
    doubles = opened(1, 2)
    first = frame(1, ticker("A", 1), ticker("B", 1))
    second = frame(2, ticker("A", 1), ticker("A", 2), ticker("B", 1), ticker("C", 1))
    assert doubles.without(first) is first
    assert doubles.without(second) == frame(2, ticker("A", 2), ticker("C", 1))
    assert doubles.without(frame(1, ticker("A", 2))) == frame(1)


def test_a_duplicate_ticker_is_recognised_by_symbol_and_sequence_not_by_its_text() -> None:
    doubles = opened(1, 2)
    doubles.without(frame(1, ticker("A", 1, text=b"1")))
    assert doubles.without(frame(2, ticker("A", 1, text=b"2"))).raw_data == []


def test_what_one_connection_repeats_is_kept() -> None:
    doubles = opened(1, 2)
    assert brought(doubles, 1, [1, 1, 2]) == [1, 1, 2]
    assert brought(doubles, 2, [1, 1, 2]) == []
    assert brought(doubles, 1, [1, 2]) == [1, 2]


def test_what_has_no_sequence_is_kept_on_both_connections() -> None:
    doubles = opened(1, 2)
    unnumbered = (UnreadableRawData(b"?"), ticker("A", None))
    for connection in (1, 2):
        assert doubles.without(frame(connection, *unnumbered)) == frame(connection, *unnumbered)


def test_connection_after_an_interruption_brings_all_again() -> None:
    doubles = opened(1)
    assert brought(doubles, 1, [1, 2]) == [1, 2]
    end(doubles, 1)
    doubles.opening(Opening(2, 0))
    assert brought(doubles, 2, [1, 2, 3]) == [1, 2, 3]


def test_successor_leaves_out_what_its_predecessor_brought_before_it_ended() -> None:
    doubles = opened(1, 2)
    brought(doubles, 1, [1, 2])
    end(doubles, 1)
    assert brought(doubles, 2, [1, 2, 3]) == [3]


def test_rotation_after_an_interruption_doubles_nothing() -> None:
    """Quiet symbols are sent again with the same sequence to every new connection."""
    doubles = opened(1)
    brought(doubles, 1, [1])
    end(doubles, 1)
    doubles.opening(Opening(2, 0))
    assert brought(doubles, 2, [1]) == [1]
    doubles.opening(Opening(3, 0))
    assert brought(doubles, 3, [1]) == []


def test_second_rotation_doubles_nothing_that_the_first_one_left_out() -> None:
    doubles = opened(1, 2)
    assert brought(doubles, 1, [1]) == [1]
    assert brought(doubles, 2, [1]) == []
    end(doubles, 1)
    doubles.opening(Opening(3, 0))
    assert brought(doubles, 3, [1]) == []


def test_outside_a_rotation_only_the_last_sequence_is_remembered() -> None:
    """A successor begins with the exchange's latest ticker of each symbol."""
    doubles = opened(1)
    brought(doubles, 1, [1, 2, 3])
    brought(doubles, 1, [7], symbol="B")
    doubles.opening(Opening(2, 0))
    assert brought(doubles, 2, [7], symbol="B") == []
    assert brought(doubles, 2, [3]) == []
    assert brought(doubles, 2, [2]) == [2]
    assert brought(doubles, 1, [2]) == []


def test_successor_may_lag_behind_its_predecessor_for_60_s_after_it_ended() -> None:
    assert MAX_SUCCESSOR_LAG_US == 60 * SECOND
    doubles = opened(1, 2)
    brought(doubles, 1, [1, 2, 3])
    end(doubles, 1, at=10 * SECOND)
    assert brought(doubles, 2, [1], at=10 * SECOND) == []
    assert brought(doubles, 2, [2], at=70 * SECOND - 1) == []
    assert brought(doubles, 2, [3, 1], at=70 * SECOND) == [3, 1]


def test_each_later_rotation_begins_with_the_last_sequences_whoever_brought_them() -> None:
    doubles = opened(1)
    brought(doubles, 1, [1], symbol="quiet")
    doubles.opening(Opening(2, 1 * SECOND))
    brought(doubles, 1, [1, 2], at=2 * SECOND)
    end(doubles, 1, at=3 * SECOND)
    assert brought(doubles, 2, [3, 4], at=100 * SECOND) == [3, 4]
    doubles.opening(Opening(3, 200 * SECOND))
    assert brought(doubles, 3, [4, 5], at=201 * SECOND) == [5]
    assert brought(doubles, 3, [1], at=201 * SECOND, symbol="quiet") == []
    assert brought(doubles, 3, [3], at=201 * SECOND) == [3]


def test_rotation_soon_after_an_interruption_begins_with_what_came_since() -> None:
    doubles = opened(1)
    brought(doubles, 1, [1])
    end(doubles, 1, at=1 * SECOND)
    doubles.opening(Opening(2, 2 * SECOND))
    assert brought(doubles, 2, [1, 2], at=3 * SECOND) == [1, 2]
    doubles.opening(Opening(3, 4 * SECOND))
    assert brought(doubles, 3, [1, 2, 3], at=5 * SECOND) == [3]


def test_sequence_as_a_number_and_as_text_is_the_same_ticker() -> None:
    doubles = opened(1, 2)
    session = KucoinSession(ping_interval=18.0, now=0.0)
    [digits], [number] = (
        session.receive(b'{"type":"message","subject":"A","data":{"sequence":%s}}' % sequence)
        for sequence in (b'"915875484"', b"915875484")
    )
    assert doubles.without(frame(1, digits)).raw_data == [digits]
    assert doubles.without(frame(2, number)).raw_data == []


def test_a_limited_number_of_sequences_of_a_symbol_is_remembered() -> None:
    doubles = opened(1, 2)
    brought(doubles, 1, range(10 * SEQUENCES_PER_SYMBOL))
    remembered = range(9 * SEQUENCES_PER_SYMBOL, 10 * SEQUENCES_PER_SYMBOL)
    assert brought(doubles, 2, remembered) == []
    assert brought(doubles, 2, [remembered[0] - 1]) == [remembered[0] - 1]


ARRIVALS = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.sampled_from(["A", "币"]), st.integers(1, 6)),
    max_size=60,
)


def through(doubles: Duplicates, arrivals: Iterable[Arrival]) -> list[Arrival]:
    return [
        (connection, each.symbol, each.sequence or 0)
        for connection, symbol, sequence in arrivals
        for each in doubles.without(frame(connection, ticker(symbol, sequence))).raw_data
    ]


@given(ARRIVALS)
def test_of_two_connections_the_first_to_bring_a_ticker_brings_it_alone(
    arrivals: list[Arrival],
) -> None:
    first: dict[tuple[str, int], int] = {}
    for connection, symbol, sequence in arrivals:
        first.setdefault((symbol, sequence), connection)
    # In order of arrival, and so in order per connection.
    expected = [each for each in arrivals if first[each[1:]] == each[0]]
    assert through(opened(1, 2), arrivals) == expected


@given(st.permutations(range(1, 30)), st.data())
def test_what_both_connections_bring_comes_out_once_each(
    sequences: list[int], data: st.DataObject
) -> None:
    turns = data.draw(st.permutations([1] * len(sequences) + [2] * len(sequences)))
    bring = {1: iter(sequences), 2: iter(sequences)}
    arrivals = [(turn, "A", next(bring[turn])) for turn in turns]
    out = through(opened(1, 2), arrivals)
    assert [sequence for _, _, sequence in out] == sequences


@given(ARRIVALS, ARRIVALS)
def test_connections_that_did_not_overlap_lose_nothing(
    before: list[Arrival], after: list[Arrival]
) -> None:
    doubles = opened(1)
    first = [(1, symbol, sequence) for _, symbol, sequence in before]
    assert through(doubles, first) == first
    end(doubles, 1)
    doubles.opening(Opening(2, 0))
    second = [(2, symbol, sequence) for _, symbol, sequence in after]
    assert through(doubles, second) == second
