"""List dead letters, and replay those that can be read now: from Kafka, or from their rows."""

import io
import json
import time
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection
from psycopg2.extras import LoggingConnection
from pyspark.sql import Row, SparkSession

from core.settings import JOBS, Settings
from core.topics import FEED_EVENTS
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.audit import audit
from spark_jobs.kafka_source.topic_ids import TopicError
from spark_jobs.list_dead_letters import lines
from spark_jobs.postgres import transaction
from spark_jobs.postgres.dead_letters import DeadLetter, insert_letters, upsert_spans
from spark_jobs.postgres.transaction import SecondLiveJobError
from spark_jobs.replay_dead_letters import (
    Replayed,
    main,
    replay_dead_letters,
    reread_other_topics,
    with_rows,
)
from spark_jobs.tickers.letters.reducer import EXAMPLES
from spark_jobs.tickers.letters.spans import BLOCK, EVERY_ITEM, THE_MESSAGE, Span, to_bits
from tests.support.dead_letters import insert_as_before, places_of_letters, stored_spans
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item, record
from tests.support.kafka import all_ends, expire_all, produce
from tests.support.postgres import SOON, contents, execute, rows
from tests.support.queries import price_sink, write

NOW = round(datetime.now(UTC).timestamp()) // 60 * 60_000_000
HOUR = 3_600_000
TABLES = ("live_prices", "candles_1m", "dead_letters", "dead_letter_spans", "kafka_progress")
HOST = "127.0.0.1:8090"
PARTITION = 1

NO_OBJECT, NO_ARRAY = "the item is no JSON object", "the message is no JSON array"
PRICES = 'SELECT symbol, price, partition, "offset", position, endpoint FROM live_prices ORDER BY 1'
CANDLES = (
    "SELECT symbol, open::int, high::int, low::int, close::int, updates FROM candles_1m ORDER BY 1"
)
LETTERS_OF = (
    'SELECT position, reason, payload, endpoint FROM dead_letters WHERE "offset" = %s ORDER BY 1'
)


def ticker(frame: dict[str, Any], price: str, later: int = 0) -> dict[str, Any]:
    """Return an item with this price; `later` shifts its times, in milliseconds."""
    event = {"E": NOW // 1000 + later} if "E" in frame else {"sequence": str(later)}
    name = "c" if "E" in frame else "price"
    return item(frame, NOW + later * 1000, **event, **{name: price})


def letter(topic: str, offset: int, position: int, payload: Any, reason: str) -> tuple[Any, ...]:
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (topic, 2, offset, position, reason, text, HOST)


LETTERS = [
    letter(BINANCE.raw_topic, 3, 1, ticker(BTCUSDT, "1", 1), "no reason: now"),
    letter(BINANCE.raw_topic, 3, 4, ticker(BTCUSDT, "3", 3), "no reason: now"),
    letter(BINANCE.raw_topic, 3, 5, ticker(BTCUSDT, "abc"), "price can't be read: abc"),
    letter(BINANCE.raw_topic, 4, -1, [ticker(ETHUSDT, "7"), None], NO_ARRAY),
    letter(BINANCE.raw_topic, 5, -1, b"\xff", NO_ARRAY),
    letter(BINANCE.raw_topic, 6, 0, b"}{", NO_OBJECT),
    letter(BINANCE.raw_topic, 7, 0, ticker(ETHUSDT, "8", HOUR), "received_at is ahead"),
    letter(KUCOIN.raw_topic, 3, 1, ticker(CRO_USDT, "8", 8), "no reason: now"),
    letter(FEED_EVENTS, 0, -1, b"no JSON", "the message is no JSON object"),
]


def bytes_of(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
        for row in found
    ]


def test_rows_of_earlier_versions_that_can_be_read_now_count_once_and_the_rest_stays(
    spark: SparkSession, database: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "LOCK_LIMIT", SOON)
    expire_all(database)
    with price_sink(database) as sink:
        write(
            spark,
            sink,
            record([ticker(BTCUSDT, "2", 2)], partition=2, offset=3),
            record([ticker(CRO_USDT, "9", 9)], KUCOIN.raw_topic, partition=2, offset=3),
        )
        with pytest.raises(SecondLiveJobError, match="stop it first"):
            replay_dead_letters(database)
    insert_as_before(owner, LETTERS)
    progress = contents(owner, ["kafka_progress"])
    old = 'SELECT * FROM dead_letters WHERE position = 5 OR "offset" >= 5 OR topic = %s ORDER BY 1, 3, 4'
    before = bytes_of(rows(owner, old, FEED_EVENTS))

    assert replay_dead_letters(database) == Replayed(letters=8, readable=4, expired=0)
    assert rows(owner, PRICES) == [
        ("BTCUSDT", Decimal(3), 2, 3, 4, HOST),
        ("CRO-USDT", Decimal(9), 2, 3, 0, "stream.binance.com"),
        ("ETHUSDT", Decimal(7), 2, 4, 0, HOST),
    ]
    assert rows(owner, CANDLES) == [
        ("BTCUSDT", 1, 3, 1, 3, 3),
        ("CRO-USDT", 8, 9, 8, 9, 2),
        ("ETHUSDT", 7, 7, 7, 7, 1),
    ]
    assert bytes_of(rows(owner, old, FEED_EVENTS)) == before
    assert bytes_of(rows(owner, LETTERS_OF, 4)) == [(1, NO_OBJECT, b"null", HOST)]
    assert contents(owner, ["kafka_progress"]) == progress
    binance = (BINANCE.raw_topic, 2)
    assert stored_spans(owner)[:-1] == [
        Span(*binance, "price can't be read", 3, 3, 1, to_bits([5])),
        Span(*binance, "received_at is ahead", 7, 7, 1, to_bits([0])),
        Span(*binance, NO_OBJECT, 4, 4, 1, to_bits([1])),
        Span(*binance, NO_OBJECT, 6, 6, 1, to_bits([0])),
        Span(*binance, NO_ARRAY, 5, 5, 1, THE_MESSAGE),
    ]

    tables = contents(owner, TABLES)
    assert replay_dead_letters(database) == Replayed(letters=5, readable=0, expired=0)
    assert contents(owner, TABLES) == tables
    batches = "SELECT rows_written, rows_refused, dead_letters, offsets FROM batches ORDER BY id"
    assert rows(owner, batches)[1:] == [(2, 0, 1, {}), (0, 1, 0, {})]

    assert reread_other_topics(database) == [FEED_EVENTS]
    assert {span.topic for span in stored_spans(owner)} == {BINANCE.raw_topic}
    assert contents(owner, ["kafka_progress"]) == progress


def test_the_command_says_what_can_be_read_now_and_that_tickers_lacks_it(
    database: Settings,
    owner: connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in database.environment(JOBS).items():
        monkeypatch.setenv(name, value)
    expire_all(database)
    insert_as_before(owner, LETTERS)

    main()
    assert capsys.readouterr().out.splitlines() == [
        "8 dead letters, 4 can be read now",
        "tickers/ still lacks them: make audit reports too few rows until make rebuild adds them",
        f"{FEED_EVENTS}: the live job reads it again from its oldest record",
    ]
    main()
    assert capsys.readouterr().out == "5 dead letters, 0 can be read now\n"


@pytest.mark.usefixtures("agreeing_clocks")
def test_messages_in_kafka_are_read_again_and_each_item_counts_once(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    begin = expire_and_fit_in_one_block(database, 5)
    # Later than any minute in which a ticker of an expired message may count.
    later = (time.time_ns() // 1000 - NOW + 600 * 1_000_000) // 60_000_000 * 60_000
    btc = {n: ticker(BTCUSDT, str(n), later + n) for n in range(1, 6)}
    eth = {n: ticker(ETHUSDT, str(n), later + n) for n in range(1, 3)}
    now = [[btc[1], eth[1]], [btc[2], btc[3]], [btc[4], "bad"], [eth[2], 7], [btc[5]]]
    # The same messages as an earlier version saw them: 0 and b"?" replace what it could not read.
    then: list[Any] = [[btc[1], 0], [0, 0], [0, "bad"], b"?", [btc[5]]]
    produce(database, BINANCE.raw_topic, *now, partition=PARTITION)
    with price_sink(database) as sink:
        write(spark, sink, *(message(each, begin + n) for n, each in enumerate(then)))
    assert sum(span.letters for span in stored_spans(owner)) == 6

    assert replay_dead_letters(database) == Replayed(letters=6, readable=5, expired=0)

    place = (BINANCE.raw_topic, PARTITION)
    assert rows(owner, PRICES) == [
        ("BTCUSDT", Decimal(5), PARTITION, begin + 4, 0, HOST),
        ("ETHUSDT", Decimal(2), PARTITION, begin + 3, 0, HOST),
    ]
    assert rows(owner, CANDLES) == [("BTCUSDT", 1, 5, 1, 5, 5), ("ETHUSDT", 1, 2, 1, 2, 2)]
    assert stored_spans(owner) == [Span(*place, NO_OBJECT, begin + 2, begin + 3, 2, to_bits([1]))]
    assert places_of_letters(owner) == [(*place, begin + 2, 1), (*place, begin + 3, 1)]
    verdicts = {verdict.table: verdict[1:3] for verdict in audit(spark, database)}
    assert verdicts["live_prices"] == verdicts["candles_1m"] == (2, 0)
    assert (verdicts["dead_letters"], verdicts["dead_letter_spans"]) == ((2, 0), (1, 0))

    tables = contents(owner, TABLES)
    assert replay_dead_letters(database) == Replayed(letters=2, readable=0, expired=0)
    assert contents(owner, TABLES) == tables


def expire_and_fit_in_one_block(database: Settings, messages: int) -> int:
    """Expire all records, and return the next offset of PARTITION. The next `messages` are in one block.

    If the current block has no room for them, it is filled first.
    """
    begin = all_ends(database)[BINANCE.raw_topic, PARTITION]
    room = -begin % BLOCK
    if 0 < room < messages:
        produce(database, BINANCE.raw_topic, *[[]] * room, partition=PARTITION)
        begin += room
    expire_all(database)
    return begin


def message(items: Any, offset: int) -> Row:
    return record(items, partition=PARTITION, offset=offset, endpoint=HOST)


def test_what_has_expired_in_kafka_stays_unless_each_letter_has_a_row(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    produce(database, BINANCE.raw_topic, [0], [0], partition=PARTITION)
    expire_all(database)
    begin = all_ends(database)[BINANCE.raw_topic, PARTITION] - 2
    price = ticker(BTCUSDT, "1", 1)
    produce(database, BINANCE.raw_topic, [price] * 20, [price], partition=PARTITION)
    with price_sink(database) as sink:
        bad = ticker(BTCUSDT, "abc", 1)
        write(spark, sink, message([0] * 20, begin), message([bad, price], begin + 1))
        write(spark, sink, message([0] * 20, begin + 2), message([price], begin + 3))
    before = stored_spans(owner)
    assert [span.letters for span in before] == [1, 20, 20]
    execute(
        owner,
        'UPDATE dead_letters SET payload = %s WHERE "offset" = %s',
        json.dumps(price).encode(),
        begin + 1,
    )

    assert replay_dead_letters(database) == Replayed(letters=41, readable=20 + 1, expired=20)

    assert stored_spans(owner) == before[1:2]
    assert rows(owner, "SELECT updates FROM candles_1m") == [(1 + 1 + 20 + 1,)]
    assert {place[2] for place in places_of_letters(owner)} == {begin}
    assert replay_dead_letters(database) == Replayed(letters=20, readable=0, expired=20)


def test_a_flood_that_can_be_read_again_leaves_nothing_behind(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    """More than one block, so several transactions, and more than one read portion."""
    expire_all(database)
    begin = all_ends(database)[KUCOIN.raw_topic, PARTITION]
    count = 1200
    prices = [ticker(CRO_USDT, "9", n) for n in range(count)]
    produce(database, KUCOIN.raw_topic, *([price, price] for price in prices), partition=PARTITION)
    with price_sink(database) as sink:
        for start in range(0, count, 400):
            offsets = range(begin + start, begin + start + 400)
            batch = [record([0, 0], KUCOIN.raw_topic, PARTITION, n, HOST) for n in offsets]
            write(spark, sink, *batch)
    spans = stored_spans(owner)
    assert {span.positions for span in spans} == {EVERY_ITEM}
    assert 2 <= len(spans) <= 3

    letters = 2 * count
    assert replay_dead_letters(database) == Replayed(letters, readable=letters, expired=0)

    assert (stored_spans(owner), places_of_letters(owner)) == ([], [])
    assert rows(owner, "SELECT sum(updates) FROM candles_1m") == [(2 * count,)]


def test_messages_that_are_arrays_now_keep_few_examples_of_their_unreadable_items(
    spark: SparkSession, database: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.history.kept_messages.MESSAGES_AT_ONCE", 4)
    letters = 2 * EXAMPLES
    begin = expire_and_fit_in_one_block(database, letters)
    now = [[ticker(BTCUSDT, "1", n), 7] for n in range(letters)]
    produce(database, BINANCE.raw_topic, *now, partition=PARTITION)
    with price_sink(database) as sink:
        write(spark, sink, *(message(b"?", begin + n) for n in range(letters)))

    assert replay_dead_letters(database) == Replayed(letters, readable=letters, expired=0)

    place = (BINANCE.raw_topic, PARTITION)
    assert stored_spans(owner) == [
        Span(*place, NO_OBJECT, begin, begin + letters - 1, letters, to_bits([1]))
    ]
    assert places_of_letters(owner) == [(*place, begin + n, 1) for n in range(EXAMPLES)]


def test_spans_without_a_row_for_each_letter_cost_no_query_of_their_own(
    database: Settings, owner: connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.replay_dead_letters.LETTERS_AT_ONCE", 3)
    place, cause = (BINANCE.raw_topic, 2), "no reason"
    spans = [
        Span(*place, cause, offset, offset, 2, to_bits([0, 1])) for offset in range(2000, 3000)
    ]
    with owner.cursor() as statements:
        upsert_spans(statements, spans)
        insert_letters(
            statements,
            [
                DeadLetter(*place, offset, position, f"{why}: now", b"{}", None, HOST)
                for offset, position, why in [
                    *((offset, n, cause) for offset in (2001, 2005, 2009) for n in (0, 1)),
                    (2007, 0, cause),
                    (2007, 1, "another"),
                ]
            ],
        )
    log = io.StringIO()
    with closing(
        psycopg2.connect(database.database_url, connection_factory=LoggingConnection)
    ) as logged:
        logged.initialize(log)
        assert [
            (some, [(row.offset, row.position) for row in read])
            for some, read in with_rows(logged, spans)
        ] == [
            ([spans[1], spans[5]], [(2001, 0), (2001, 1), (2005, 0), (2005, 1)]),
            ([spans[9]], [(2009, 0), (2009, 1)]),
        ]
    # One query finds the spans; one query per portion reads the rows.
    assert log.getvalue().count("JOIN dead_letters") == 3


def test_a_topic_that_was_created_again_is_refused(
    spark: SparkSession, database: Settings, owner: connection
) -> None:
    with price_sink(database) as sink:
        write(spark, sink, record([0]))
    execute(owner, "UPDATE kafka_progress SET topic_id = 'another'")
    with pytest.raises(TopicError, match="binance_raw_data was created again"):
        replay_dead_letters(database)


def test_they_are_listed_by_topic_and_cause_with_the_newest_of_each(
    database: Settings, owner: connection
) -> None:
    assert list(lines(database.database_url)) == ["no dead letters"]
    insert_as_before(owner, LETTERS)
    execute(
        owner, "UPDATE dead_letter_spans SET letters = 400, positions = NULL WHERE first_offset = 7"
    )
    execute(owner, "DELETE FROM dead_letters WHERE topic = %s", FEED_EVENTS)
    listed = list(lines(database.database_url))
    assert [line.split(",")[0] for line in listed if not line.startswith(" ")] == [
        "binance_raw_data: 2 x no reason",
        "binance_raw_data: 1 x price can't be read",
        "binance_raw_data: 400 x received_at is ahead",
        "binance_raw_data: 1 x the item is no JSON object",
        "binance_raw_data: 2 x the message is no JSON array",
        "feed_events: 1 x the message is no JSON object",
        "kucoin_raw_data: 1 x no reason",
    ]
    assert listed[13:15] == [
        "  partition 2, offset 5, position -1: the message is no JSON array",
        "  \ufffd",
    ]
    assert len(listed) == 3 * 7 - 2
