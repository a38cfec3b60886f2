"""Messages of the small topics become rows, or dead letters if they can't be read."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from chispa import assert_df_equality
from pyspark.sql import SparkSession

from core.topics import FEED_EVENTS, INSTRUMENTS
from spark_jobs.postgres.small_topics import parse_small_topics
from tests.support.frames import record, records, table
from tests.support.small_messages import SEEN_AT, feed_event, instrument

INSTRUMENT = (
    "exchange STRING, symbol STRING, base STRING, quote STRING, status STRING, seen_at TIMESTAMP,"
    " offset LONG"
)
FEED_EVENT = (
    "exchange STRING, endpoint STRING, kind STRING, reason STRING, from TIMESTAMP, to TIMESTAMP,"
    " frames LONG, offset LONG"
)
PARSED = (
    "topic STRING, partition INT, first_offset LONG, last_offset LONG,"
    f" instruments STRUCT<{INSTRUMENT}>, feed_events STRUCT<{FEED_EVENT}>,"
    " fault STRING, payload BINARY"
)

SEEN = datetime(2025, 3, 28, 7, 37, 28, 467000, UTC)


def faults(spark: SparkSession, topic: str, *messages: Any) -> list[str | None]:
    """Return why each message is a dead letter; None for a message that is a row."""
    read = records(spark, *(record(message, topic) for message in messages))
    rows = parse_small_topics(read).collect()
    assert all((row["fault"] is None) == (row[topic] is not None) for row in rows)
    return [row["fault"] for row in rows]


def test_each_message_is_a_row_of_its_topics_table(spark: SparkSession) -> None:
    symbol, later = "币安人生USDT", SEEN_AT + 1
    read = records(
        spark,
        record(instrument(symbol=symbol, base="币安人生", seen_at=later), INSTRUMENTS, offset=7),
        record(feed_event(), FEED_EVENTS, offset=8),
        record(feed_event(endpoint=None, reason=None, end=later, frames=2**63 - 1), FEED_EVENTS),
    )

    actual = parse_small_topics(read)

    seen_later = SEEN.replace(microsecond=467001)
    silence = "silence: no ticker for 10 s"
    started = ("binance", "stream.binance.com", "interruption", silence, SEEN, None, 0, 8)
    ended = ("binance", None, "interruption", None, SEEN, seen_later, 2**63 - 1, 0)
    expected = table(
        spark,
        [
            (
                *(INSTRUMENTS, 0, 7, 7),
                ("binance", symbol, "币安人生", "USDT", "TRADING", seen_later, 7),
                *(None, None, None),
            ),
            (FEED_EVENTS, 0, 8, 8, None, started, None, None),
            (FEED_EVENTS, 0, 0, 0, None, ended, None, None),
        ],
        PARSED,
    )
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_what_is_no_json_object_is_a_dead_letter_with_its_bytes(spark: SparkSession) -> None:
    no_objects = [
        *(None, b"", b"no JSON", b"null", b"7", b'"text"', b"[{}]", b"\xff\xfe\x00"),
        *(b'{"exchange":', b"{]}", b'{"exchange":"binance"} and more'),
    ]
    messages = [record(value, INSTRUMENTS, offset=n) for n, value in enumerate(no_objects)]

    actual = parse_small_topics(records(spark, *messages))

    expected = table(
        spark,
        [
            (
                INSTRUMENTS,
                0,
                n,
                n,
                None,
                None,
                "the message is no JSON object",
                bytearray(value or b""),
            )
            for n, value in enumerate(no_objects)
        ],
        PARSED,
    )
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_blanks_around_an_object_do_no_harm(spark: SparkSession) -> None:
    message = b"\n " + json.dumps(instrument()).encode() + b" \r\n"
    assert faults(spark, INSTRUMENTS, message) == [None]


@pytest.mark.parametrize(
    ("topic", "whole"), [(INSTRUMENTS, instrument()), (FEED_EVENTS, feed_event())]
)
def test_a_field_that_is_missing_or_null_is_named_where_a_table_needs_it(
    spark: SparkSession, topic: str, whole: dict[str, Any]
) -> None:
    optional = ("endpoint", "reason", "to")
    expected = [None if name in optional else f"{name} is missing" for name in whole]
    lacking = [{n: value for n, value in whole.items() if n != name} for name in whole]
    assert faults(spark, topic, *lacking) == expected
    assert faults(spark, topic, *({**whole, name: None} for name in whole)) == expected


BAD_VALUES: list[tuple[str, dict[str, Any], str]] = [
    (INSTRUMENTS, instrument(symbol=""), "symbol can't be read: "),
    (INSTRUMENTS, instrument(symbol="A\0B"), "symbol can't be read: A\ufffdB"),
    (INSTRUMENTS, instrument(base="x" * 101), "base can't be read: " + "x" * 100),
    (INSTRUMENTS, instrument(seen_at="yesterday"), "seen_at can't be read: yesterday"),
    (INSTRUMENTS, instrument(seen_at={"at": 1}), 'seen_at can\'t be read: {"at":1}'),
    # Milliseconds: read as microseconds they are in 1970.
    (INSTRUMENTS, instrument(seen_at=1743147448467), "seen_at can't be read: 1743147448467"),
    (INSTRUMENTS, instrument(seen_at=10**25), f"seen_at can't be read: {10**25}"),
    (FEED_EVENTS, feed_event(start=-1), "from can't be read: -1"),
    # Nanoseconds: read as microseconds they are in the year 57208.
    (FEED_EVENTS, feed_event(end=1743147448467000000), "to can't be read: 1743147448467000000"),
    (FEED_EVENTS, feed_event(end="soon"), "to can't be read: soon"),
    (FEED_EVENTS, feed_event(reason="a\0b"), "reason can't be read: a\ufffdb"),
    (FEED_EVENTS, feed_event(frames=-1), "frames can't be read: -1"),
    (FEED_EVENTS, feed_event(frames=1.5), "frames can't be read: 1.5"),
    (FEED_EVENTS, feed_event(frames=2**63), f"frames can't be read: {2**63}"),
    (FEED_EVENTS, feed_event(frames=True), "frames can't be read: true"),
]


def test_a_value_that_can_not_be_read_is_named_and_shown(spark: SparkSession) -> None:
    messages = [
        record(message, topic, offset=n) for n, (topic, message, _) in enumerate(BAD_VALUES)
    ]
    rows = parse_small_topics(records(spark, *messages)).collect()
    assert [row["fault"] for row in rows] == [reason for _, _, reason in BAD_VALUES]
    assert [json.loads(row["payload"]) for row in rows] == [message for _, message, _ in BAD_VALUES]


def test_fields_of_the_other_topic_and_new_ones_are_passed_over(spark: SparkSession) -> None:
    assert faults(spark, INSTRUMENTS, instrument(frames="many", tick_size="0.1")) == [None]
