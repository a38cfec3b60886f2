"""An example of a dead letter has its exact bytes; spans count all dead letters."""

from spark_jobs.postgres.dead_letters import DeadLetter, examples_of, letters_in, spans_in
from spark_jobs.tickers.columns import REDUCED, as_table
from spark_jobs.tickers.letters.reducer import EXAMPLES
from spark_jobs.tickers.letters.spans import EVERY_ITEM, THE_MESSAGE, Span, to_bits
from spark_jobs.tickers.messages import read_and_reduce
from tests.support.frames import BTCUSDT, RECEIPT, item
from tests.support.messages import HOST, encoded, frame, message


def test_an_example_has_its_place_its_reason_and_its_bytes() -> None:
    bad = item(BTCUSDT, s="币", E="soon")
    rows = as_table(
        read_and_reduce(
            frame(
                message([7, bad], partition=2, offset=5),
                message(b"\xff\x00", endpoint=None, offset=6),
            )
        ),
        REDUCED,
    )
    topic = "binance_raw_data"
    assert sorted(letters_in(rows)) == [
        DeadLetter(topic, 0, 6, -1, "the message is no JSON array", b"\xff\x00", None, None),
        DeadLetter(topic, 2, 5, 0, "the item is no JSON object", b"7", None, HOST),
        DeadLetter(topic, 2, 5, 1, "event_time can't be read: soon", encoded(bad), RECEIPT, HOST),
    ]


def test_spans_have_the_counts_and_the_positions_of_their_messages() -> None:
    messages = [message([7, item(BTCUSDT)]), message([7], offset=1), message(b"?", offset=2)]
    found = spans_in(as_table(read_and_reduce(frame(*messages)), REDUCED))
    topic, no_object = "binance_raw_data", "the item is no JSON object"
    assert found == [
        Span(topic, 0, no_object, 0, 0, 1, to_bits([0])),
        Span(topic, 0, no_object, 1, 1, 1, EVERY_ITEM),
        Span(topic, 0, "the message is no JSON array", 2, 2, 1, THE_MESSAGE),
    ]


def test_examples_of_several_tasks_are_those_with_the_lowest_places() -> None:
    def letter(partition: int, offset: int, value: str) -> DeadLetter:
        return DeadLetter("t", partition, offset, 0, f"no price: {value}", b"", None, None)

    first = [letter(0, offset, str(offset)) for offset in range(EXAMPLES - 1)]
    second = [letter(1, offset, "x") for offset in range(EXAMPLES)]
    other = letter(1, 5, "x")._replace(reason="no symbol")
    assert examples_of([*second, other, *first]) == [*first, second[0], other]
