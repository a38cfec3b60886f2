"""Test that dead letters are joined into the fewest spans, in whatever parts and order they arrive."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tickers.letters.spans import (
    BLOCK,
    EVERY_ITEM,
    THE_MESSAGE,
    Span,
    from_bits,
    joined,
    to_bits,
)

CAUSE = "sequence is missing"


def span(first: int, last: int | None = None, positions: bytes | None = b"\x05") -> Span:
    """Return a span of partition 2, with two letters in each message."""
    end = first if last is None else last
    return Span("kucoin_raw_data", 2, CAUSE, first, end, 2 * (end - first + 1), positions)


def test_messages_in_a_row_with_equal_positions_are_one_span() -> None:
    assert joined([span(8), span(6), span(7), span(9, 11)]) == [span(6, 11)]


def test_what_differs_or_does_not_follow_stays_apart() -> None:
    apart = [
        span(5),
        span(7),
        span(8, positions=EVERY_ITEM),
        span(9, positions=THE_MESSAGE),
        span(9)._replace(cause="symbol is missing"),
        span(10)._replace(partition=3),
        span(11)._replace(topic="binance_raw_data"),
    ]
    assert joined(apart) == sorted(apart, key=lambda each: each[:4])


def test_a_span_ends_with_its_block() -> None:
    single = [span(offset) for offset in range(BLOCK - 2, BLOCK + 2)]
    assert joined(single) == [span(BLOCK - 2, BLOCK - 1), span(BLOCK, BLOCK + 1)]
    assert joined([span(BLOCK - 1), span(BLOCK)]) == [span(BLOCK - 1), span(BLOCK)]


def test_joined_in_any_parts_and_any_order_they_are_the_same() -> None:
    chance = random.Random(7)
    positions = [EVERY_ITEM, b"\x01", b"\x03"]
    single = [span(offset, positions=chance.choice(positions)) for offset in range(990, 1030)]
    expected = joined(single)
    assert 3 < len(expected) < len(single)
    for _ in range(20):
        chance.shuffle(single)
        cut = chance.randrange(len(single))
        assert joined([*joined(single[cut:]), *joined(single[:cut])]) == expected


@given(st.sets(st.integers(0, 300)))
def test_positions_are_the_bits_that_are_set(positions: set[int]) -> None:
    bits = to_bits(positions)
    assert from_bits(bits) == sorted(positions)
    assert not bits.endswith(b"\0")
    # The bits are numbered as in Postgres's get_bit.
    assert sum(1 << position for position in positions) == int.from_bytes(bits, "little")
