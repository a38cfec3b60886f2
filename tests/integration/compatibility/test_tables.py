"""Use the tables of earlier versions: the server reads them, and the live job writes to them."""

import itertools
import json
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any

from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS
from infra.services import postgres
from spark_jobs.kafka_source.schemas import SMALL_TOPICS
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.postgres.small_topics import parse_small_topics
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from tests.compatibility.kept import Record, Version, next_offsets
from tests.compatibility.records import ALL_DAYS, as_read, item_received_at, ticker_record
from tests.support.event_stream import event_stream
from tests.support.frames import microseconds, records
from tests.support.live_job import batch_of, wait_for_batch
from tests.support.postgres import rows
from tests.support.queries import write
from tests.support.server import running_server
from tests.support.small_messages import feed_event, instrument

LATEST = 4_000_000_000_000_000
"""Microseconds since the epoch (in the year 2096)."""

OPEN_INTERRUPTIONS = """
SELECT exchange, "from" FROM feed_events WHERE kind = 'interruption' AND "to" IS NULL
ORDER BY "from", exchange
"""

AGES = {"age_seconds", "stale"}


def test_the_server_answers_as_the_version_did(version: Version, restored: Settings) -> None:
    postgres.initialise(restored)
    answers, snapshot = version.answers(), version.stream()
    with running_server(restored.reader_database_url) as server:
        wait_for_batch(server, batch_of(snapshot.body["id"]))
        for path, body in answers:
            answer = server.get(path)
            assert answer.status_code == 200, answer.text
            assert_same(path, answer.json(), in_present_form(path, body))
        with event_stream(server.port) as stream:
            expected = in_present_form(snapshot.path, snapshot.body)
            assert_same(snapshot.path, stream.receive(), expected)
    assert len(answers) >= 6
    assert snapshot.body["prices"]


def in_present_form(path: str, kept: Any) -> Any:
    """Return the kept answer with the changes to the API that the changelog names.

    A pair has venues in place of a field for each exchange; its difference has another base and no sign.
    A snapshot is in the order of exchange and symbol, where it was in the order of batches.
    """
    if path == "/stream":
        return {**kept, "prices": sorted(kept["prices"], key=itemgetter("exchange", "symbol"))}
    if not path.startswith("/api/compare"):
        return kept
    pairs = [
        {
            "venues": [{"exchange": name, **pair.pop(name)} for name in ("binance", "kucoin")],
            **{name: value for name, value in pair.items() if name != "difference_bp"},
        }
        for pair in kept["pairs"]
    ]
    return {**kept, "pairs": pairs}


def assert_same(path: str, answer: Any, kept: Any) -> None:
    assert (path, comparable(answer, kept)) == (path, comparable(kept, kept))


def comparable(answer: Any, kept: Any) -> Any:
    """Return the fields that the kept answer also has, without ages.

    Reduce an id to its batch, because its first part names the database.
    """
    match answer, kept:
        case dict(), dict():
            return {
                name: batch_of(value) if name == "id" else comparable(value, kept.get(name))
                for name, value in answer.items()
                if name in kept and name not in AGES
            }
        case list(), list():
            return [comparable(*each) for each in itertools.zip_longest(answer, kept)]
    return answer


def test_a_newer_batch_is_written_on_top(
    spark: SparkSession, version: Version, restored: Settings, kept: connection
) -> None:
    postgres.initialise(restored)
    old = version.records(EXCHANGE_OF_TOPIC)
    price = "SELECT price, sequence, received_at FROM live_prices WHERE symbol = 'BTCUSDT'"
    [(_price, sequence, received_at)] = rows(kept, price)
    new = ticker_record(next_offsets(old), sequence + 1, received_at + timedelta(milliseconds=1))
    minute = datetime.fromtimestamp((sequence + 1) / 1e3, UTC).replace(second=0, microsecond=0)
    candle = "SELECT open, close, updates FROM candles_1m WHERE symbol = 'BTCUSDT' AND minute = %s"
    [(opened, _close, updates)] = rows(kept, candle, minute)
    [(batches,)] = rows(kept, "SELECT max(id) FROM batches")
    letters = rows(kept, "SELECT t::text FROM dead_letters t ORDER BY 1")
    assert letters

    with closing(PriceSink(restored.database_url, ALL_DAYS)) as sink:
        assert sink.postgres.progress() == next_offsets(old)
        write(spark, sink, *as_read(old))
        write(spark, sink, *as_read([new]))

    assert rows(kept, price) == [(Decimal("1.5"), sequence + 1, item_received_at(new))]
    assert rows(kept, candle, minute) == [(opened, Decimal("1.5"), updates + 1)]
    written = "SELECT id, rows_written, rows_refused FROM batches ORDER BY id DESC LIMIT 1"
    assert rows(kept, written) == [(batches + 1, 1, 0)]
    assert rows(kept, "SELECT t::text FROM dead_letters t ORDER BY 1") == letters


def test_newer_messages_of_the_small_topics_are_written_on_top(
    spark: SparkSession, version: Version, restored: Settings, kept: connection
) -> None:
    postgres.initialise(restored)
    old = version.records(SMALL_TOPICS)
    [(exchange, start), *others] = rows(kept, OPEN_INTERRUPTIONS)
    end = start + timedelta(seconds=1)
    over = feed_event(exchange=exchange, start=microseconds(start), end=microseconds(end))
    new = [
        small_record(old, INSTRUMENTS, instrument(status="HALT", seen_at=LATEST)),
        small_record(old, FEED_EVENTS, over),
    ]

    with closing(SmallTopicsSink(restored.database_url)) as sink:
        assert sink.postgres.progress() == next_offsets(old)
        sink.write(parse_small_topics(records(spark, *as_read([*old, *new]))), 0)

    assert rows(kept, OPEN_INTERRUPTIONS) == others
    ends = 'SELECT "to" FROM feed_events WHERE exchange = %s AND "from" = %s'
    assert rows(kept, ends, exchange, start) == [(end,)]
    status = "SELECT status FROM instruments WHERE exchange = 'binance' AND symbol = 'BTCUSDT'"
    assert rows(kept, status) == [("HALT",)]


def small_record(old: Iterable[Record], topic: str, message: dict[str, Any]) -> Record:
    """Return a message with the next offset of its topic."""
    offset = next_offsets(old)[topic, 0]
    return Record(topic, 0, offset, 0, b"binance", [], json.dumps(message).encode())
