"""A dead letter is a row of the table dead_letters, with what was written to the letter."""

from datetime import UTC, datetime

from spark_jobs.dead_letters import DeadLetter, letters_of
from spark_jobs.messages import read_and_reduce
from spark_jobs.tickers.columns import REDUCED, as_table
from tests.support.frames import BTCUSDT, RECEIVED_AT, item
from tests.support.messages import HOST, encoded, frame, message


def test_each_dead_letter_has_its_place_its_reason_and_its_bytes() -> None:
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
    receipt = datetime.fromtimestamp(RECEIVED_AT // 1_000_000, UTC).replace(microsecond=501233)
    topic = "binance_raw_data"
    assert sorted(letters_of(rows)) == [
        DeadLetter(topic, 0, 6, -1, "the message is no JSON array", b"\xff\x00", None, None),
        DeadLetter(topic, 2, 5, 0, "the item is no JSON object", b"7", None, HOST),
        DeadLetter(topic, 2, 5, 1, "event_time can't be read: soon", encoded(bad), receipt, HOST),
    ]
