"""This version reads what earlier versions wrote: a copy of their data is in tests/compatibility/data."""

import gzip
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copytree
from typing import Any

import psycopg2
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from psycopg2.extensions import connection
from pyspark.sql import Row, SparkSession

from core.settings import Settings
from core.topics import (
    BINANCE_RAW_DATA,
    EXCHANGE_OF_TOPIC,
    FEED_EVENTS,
    INSTRUMENTS,
    TOPIC_OF_EXCHANGE,
)
from infra.exchange.landing import landing_at
from infra.exchange.recording import Recording
from infra.services import object_store, postgres
from infra.stack import Stack
from spark_jobs.archive import Archive
from spark_jobs.lake import lake_root
from spark_jobs.live_prices import small_topics
from spark_jobs.price_sink import PriceSink
from spark_jobs.schemas import SMALL_TOPICS
from spark_jobs.small_topics import parse_small_topics
from spark_jobs.small_topics_sink import SmallTopicsSink
from spark_jobs.sources import Offsets, kafka_records
from spark_jobs.ticker_table import TickerTable
from tests.compatibility.kept import TOPICS, Place, Record, Version, next_offsets, versions
from tests.support.event_stream import event_stream
from tests.support.extractor import Extractor
from tests.support.feeds import NOWHERE
from tests.support.frames import BTCUSDT, item, records, tickers
from tests.support.kafka import Topic, all_items
from tests.support.lake import archived, archived_records, ticker_rows
from tests.support.landing import Landing
from tests.support.live_job import batch_of, wait_for_batch
from tests.support.postgres import rows
from tests.support.process import run
from tests.support.queries import run_live_prices, run_once, write
from tests.support.recordings import received
from tests.support.replay_exchange import running, settings_at
from tests.support.server import running_server
from tests.support.small_exchange import subscribed
from tests.support.small_messages import feed_event, instrument
from tests.support.stacks import settings_on

VERSIONS = versions()

DATABASE_NUMBERS = itertools.count(1)

ALL_DAYS = timedelta(days=365 * 100)
"""Retention of candles in these tests: the kept data grow old."""

LATEST = 4_000_000_000_000_000
"""Microseconds since the epoch: in the year 2096."""

OPEN_INTERRUPTIONS = """
SELECT exchange, "from" FROM feed_events WHERE kind = 'interruption' AND "to" IS NULL
ORDER BY "from", exchange
"""

AGES = {"age_seconds", "stale"}

NOT_BY_MESSAGES = {"batch_id", "written_at"}
"""Columns that depend on when a batch was written."""

TABLES = ("live_prices", "candles_1m", "dead_letters", "instruments", "feed_events")


@pytest.fixture(params=VERSIONS, ids=[version.name for version in VERSIONS])
def version(request: pytest.FixtureRequest) -> Version:
    kept: Version = request.param
    return kept


@pytest.fixture
def restored(version: Version, stack: Stack) -> Settings:
    """The version's own database, as it was: no migration of this version has been applied."""
    settings = settings_on(stack, f"kept_{next(DATABASE_NUMBERS)}")
    server, _, name = settings.database_url.rpartition("/")
    psql = [str(stack.postgres_bin / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
    run([*psql, f"{server}/postgres", "--command", f"CREATE DATABASE {name}"])
    run([*psql, settings.database_url, "--file", str(version.tables)])
    return settings


@pytest.fixture
def kept(restored: Settings) -> Iterator[connection]:
    """A connection to the version's own database."""
    with closing(psycopg2.connect(restored.database_url)) as opened:
        opened.autocommit = True
        yield opened


# The tables, the server, and the live job on top of them.


def test_the_server_answers_as_the_version_did(version: Version, restored: Settings) -> None:
    postgres.initialise(restored)
    answers, snapshot = version.answers(), version.stream()
    with running_server(restored.reader_database_url) as server:
        wait_for_batch(server, batch_of(snapshot.body["id"]))
        for path, body in answers:
            answer = server.get(path)
            assert answer.status_code == 200, answer.text
            assert_same(path, answer.json(), body)
        with event_stream(server.port) as stream:
            assert_same(snapshot.path, stream.receive(), snapshot.body)
    assert len(answers) >= 6
    assert snapshot.body["prices"]


def assert_same(path: str, answer: Any, kept: Any) -> None:
    assert (path, comparable(answer, kept)) == (path, comparable(kept, kept))


def comparable(answer: Any, kept: Any) -> Any:
    """The fields of the answer that the kept one has too, without ages.

    Of an id, the batch: its first part names the database.
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

    with closing(PriceSink(restored.database_url, no_messages, ALL_DAYS)) as sink:
        assert sink.progress() == next_offsets(old)
        write(spark, sink, *as_read([*old, new]))

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
    over = feed_event(exchange=exchange, start=micros(start), end=micros(end))
    new = [
        small_record(old, INSTRUMENTS, instrument(status="HALT", seen_at=LATEST)),
        small_record(old, FEED_EVENTS, over),
    ]

    with closing(SmallTopicsSink(restored.database_url)) as sink:
        assert sink.progress() == next_offsets(old)
        sink.write(parse_small_topics(records(spark, *as_read([*old, *new]))), 0)

    assert rows(kept, OPEN_INTERRUPTIONS) == others
    ends = 'SELECT "to" FROM feed_events WHERE exchange = %s AND "from" = %s'
    assert rows(kept, ends, exchange, start) == [(end,)]
    status = "SELECT status FROM instruments WHERE exchange = 'binance' AND symbol = 'BTCUSDT'"
    assert rows(kept, status) == [("HALT",)]


def small_record(old: Iterable[Record], topic: str, message: dict[str, Any]) -> Record:
    """A message behind all others of its topic."""
    offset = next_offsets(old)[topic, 0]
    return Record(topic, 0, offset, 0, b"binance", [], json.dumps(message).encode())


def ticker_record(ends: Offsets, sequence: int, received_at: datetime) -> Record:
    """A message with one ticker of Binance, in partition 0 behind all of the others."""
    received = micros(received_at)
    items = [item(BTCUSDT, received, E=sequence, c="1.5")]
    return Record(
        BINANCE_RAW_DATA,
        0,
        ends[BINANCE_RAW_DATA, 0],
        received // 1000,
        b"binance-0",
        [("endpoint", b"127.0.0.1")],
        json.dumps(items).encode(),
    )


def micros(time: datetime) -> int:
    """Microseconds since the epoch."""
    return round(time.timestamp() * 1e6)


def newest_record(ends: Offsets) -> Record:
    now = datetime.now(UTC)
    return ticker_record(ends, round(now.timestamp() * 1e3), now)


def item_received_at(record: Record) -> datetime:
    [found] = json.loads(record.value or b"")
    return datetime.fromtimestamp(found["received_at"] / 1e6, UTC)


def no_messages(places: Iterable[Place]) -> dict[Place, bytes]:
    assert not list(places)
    return {}


def as_read(kept: Iterable[Record]) -> list[Row]:
    """Records as Spark reads them from Kafka."""
    return [
        Row(
            key=record.key and bytearray(record.key),
            value=record.value and bytearray(record.value),
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp=datetime.fromtimestamp(record.timestamp / 1e3, UTC),
            timestampType=1,
            headers=[Row(key=name, value=bytearray(value)) for name, value in record.headers],
        )
        for record in kept
    ]


# The topics.


def test_the_live_job_makes_the_same_tables_of_the_topics(
    spark: SparkSession,
    version: Version,
    kept: connection,
    database: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    old = version.records(TOPICS)
    start_at(owner, ends(database))
    moved = produce(database, old)

    run_live_prices(spark, database, tmp_path, ALL_DAYS)
    run_small_topics(spark, database, tmp_path)

    for table in TABLES:
        expected = kept_rows(kept, table)
        assert expected, table
        found = kept_rows(owner, table)
        columns = expected[0].keys()
        assert ordered({name: row[name] for name in columns} for row in found) == ordered(
            moved_row(row, moved) for row in expected
        )


def ends(settings: Settings) -> Offsets:
    """The next offset of every partition of all topics."""
    with closing(
        Consumer(
            {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "compatibility"}
        )
    ) as consumer:
        return {
            (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number))[1]
            for topic in TOPICS
            for number in consumer.list_topics(topic).topics[topic].partitions
        }


def start_at(owner: connection, offsets: Offsets) -> None:
    """What lies before, other tests produced."""
    with owner.cursor() as statements:
        for (topic, partition), offset in offsets.items():
            statements.execute(
                "INSERT INTO kafka_progress VALUES (%s, %s, %s)", (topic, partition, offset)
            )


def produce(settings: Settings, kept: Sequence[Record]) -> dict[Place, Place]:
    """The records with their keys, values and headers, to their partitions; and where they are now."""
    moved: dict[Place, Place] = {}
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for record in kept:

        def delivered(error: KafkaError | None, message: Message, record: Record = record) -> None:
            assert error is None, error
            moved[record.place] = (record.topic, record.partition, message.offset() or 0)

        headers: list[tuple[str, str | bytes | None]] = [*record.headers]
        producer.produce(
            record.topic,
            record.value,
            record.key,
            record.partition,
            on_delivery=delivered,
            headers=headers,
        )
    assert producer.flush(30) == 0
    assert len(moved) == len(kept)
    return moved


def run_small_topics(spark: SparkSession, database: Settings, folder: Path) -> None:
    servers = database.kafka_bootstrap_servers
    with closing(SmallTopicsSink(database.database_url)) as sink:
        few = kafka_records(spark, servers, sink.topics, sink.progress())
        run_once(small_topics(few, sink, str(folder / "small_topics")))


def kept_rows(database: connection, table: str) -> list[dict[str, Any]]:
    """Without the columns that no message says; numbers are exact."""
    return [
        {name: value for name, value in row.items() if name not in NOT_BY_MESSAGES}
        for (text,) in rows(database, f"SELECT to_jsonb(t)::text FROM {table} t")
        for row in [json.loads(text, parse_float=str)]
    ]


def moved_row(row: dict[str, Any], moved: dict[Place, Place]) -> dict[str, Any]:
    """With the offset that its message has now."""
    if "offset" not in row:
        return row
    return row | {"offset": moved[row["topic"], row["partition"], row["offset"]][2]}


def ordered(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True))


def items_in(kept: Iterable[Record]) -> list[dict[str, Any]]:
    """The items of the messages that an extractor sent."""
    return [
        found
        for record in kept
        if "journal" in dict(record.headers)
        for found in json.loads(record.value or b"")
    ]


# The journal.


def test_an_extractor_sends_what_a_journal_holds_and_kafka_does_not(
    version: Version,
    lake: Settings,
    extractor: Callable[[str, Settings], Extractor],
    tmp_path: Path,
) -> None:
    copytree(version.journals, tmp_path / "journal")
    landings = {name: Landing(lake, name) for name in TOPIC_OF_EXCHANGE}
    produce(lake, version.records(EXCHANGE_OF_TOPIC))
    topics = {name: Topic(lake, topic) for name, topic in TOPIC_OF_EXCHANGE.items()}
    from_nowhere = settings_at(
        lake,
        NOWHERE,
    )

    processes = [extractor(name, from_nowhere) for name in TOPIC_OF_EXCHANGE]
    for process in processes:
        process.wait_for(
            lambda: list((tmp_path / "journal").rglob("*.jsonl*")), lambda left: not left
        )
    assert [process.terminate() for process in processes] == [0, 0]

    for name, topic in TOPIC_OF_EXCHANGE.items():
        segments = segments_of(version.journals / name)
        assert [suffix for suffix, _first, _lines in segments] == [".gz", ".jsonl"]
        journal = (version.journals / name / "id").read_text().split()[0]
        taken = items_in(
            record
            for record in version.records([topic])
            if ("journal", journal.encode()) in record.headers
        )
        lines = [json.loads(line) for _suffix, _first, lines in segments for line in lines]
        rest = [line for line in lines if line not in taken]
        assert taken and 0 < len(rest) < len(lines)
        messages = topics[name].messages()
        assert by_symbol(all_items(messages)) == by_symbol(rest)
        assert {dict(message.headers() or [])["journal"] for message in messages} == {
            journal.encode()
        }
        assert landings[name].keys() == [
            landing_key(name, journal, first, lines) for _suffix, first, lines in segments
        ]
        assert landings[name].items() == lines


def segments_of(journal: Path) -> list[tuple[str, int, list[bytes]]]:
    """The suffix, the position of the first item and the lines of each file, the oldest first."""
    return [
        (
            path.suffix,
            int(path.name[:20]),
            (gzip.decompress(content) if path.suffix == ".gz" else content).splitlines(),
        )
        for path in sorted(journal.glob("*.jsonl*"))
        for content in [path.read_bytes()]
    ]


def landing_key(exchange: str, journal: str, first: int, lines: Sequence[bytes]) -> str:
    at = datetime.fromtimestamp(json.loads(lines[0])["received_at"] / 1e6, UTC)
    last = first + len(lines) - 1
    name = f"{at:%Y%m%dT%H%M%S.%fZ}-{journal}-{first:020}-{last:020}.jsonl.gz"
    return f"landing/{exchange}/{at:%Y/%m/%d/%H}/{name}"


def by_symbol(items: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """In their order, which holds for a symbol."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in items:
        found[each.get("s") or each.get("subject") or ""].append(each)
    return dict(found)


# The bucket.


def upload(settings: Settings, version: Version, prefix: str) -> None:
    store = object_store.client(settings)
    objects = version.objects(prefix)
    assert objects
    for key, content in objects.items():
        store.put_object(Bucket=settings.s3_bucket, Key=key, Body=content)


def test_the_archive_is_read_and_resumed(
    spark: SparkSession, version: Version, lake: Settings
) -> None:
    upload(lake, version, "raw")
    old = version.records(EXCHANGE_OF_TOPIC)
    assert archived(lake, "raw") == archived_rows(old)
    assert sorted(map(record_of, archived_records(lake, "raw"))) == sorted(old)

    archive = Archive(spark, lake_root(lake))
    ends = next_offsets(old)
    assert archive.resume(list(ends)) == ends
    new = newest_record(ends)
    archive.write(records(spark, *as_read([*old, new])).coalesce(1), 0)

    assert archived(lake, "raw") == archived_rows([*old, new])


def archived_rows(kept: Iterable[Record]) -> list[tuple[Any, ...]]:
    return sorted((*record.place, record.value, record.key) for record in kept)


def record_of(row: dict[str, Any]) -> Record:
    return Record(
        row["topic"],
        row["partition"],
        row["offset"],
        # Spark writes UTC, and Arrow does not say so.
        round(row["timestamp"].replace(tzinfo=UTC).timestamp() * 1e3),
        row["key"],
        [(header["key"], header["value"]) for header in row["headers"]],
        row["value"],
    )


def test_the_table_of_tickers_is_read_and_resumed(
    spark: SparkSession, version: Version, lake: Settings, kept: connection
) -> None:
    upload(lake, version, "tickers")
    old = version.records(EXCHANGE_OF_TOPIC)
    readable = readable_places(old, kept)
    found = {place_of(row): row for row in ticker_rows(lake)}
    assert sorted(found) == readable
    for row in prices_of(kept):
        assert {name: found[place_of(row)][name] for name in row} == row

    ends = next_offsets(old)
    new = newest_record(ends)
    after = ends | next_offsets([new])
    table = TickerTable(spark, lake_root(lake), lambda: after, lake.tickers_retention_days)
    assert table.resume() == ends
    table.write(tickers(spark, *as_read([*old, new])).coalesce(1), 0)

    assert sorted(map(place_of, ticker_rows(lake))) == sorted([*readable, (*new.place, 0)])


def place_of(row: dict[str, Any]) -> tuple[str, int, int, int]:
    return row["topic"], row["partition"], row["offset"], row["position"]


def readable_places(
    kept: Iterable[Record], database: connection
) -> list[tuple[str, int, int, int]]:
    """Where the items of the records are, but for dead letters."""
    dead = {
        place_of(letter)
        for letter in kept_rows(database, "dead_letters")
        if letter["topic"] in EXCHANGE_OF_TOPIC
    }
    unread = {place[:3] for place in dead if place[3] == -1}
    return sorted(
        place
        for record in kept
        if record.place not in unread
        for position in range(len(json.loads(record.value or b"")))
        if (place := (*record.place, position)) not in dead
    )


def prices_of(database: connection) -> list[dict[str, Any]]:
    with database.cursor() as statements:
        statements.execute("SELECT * FROM live_prices")
        names = [column.name for column in statements.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in statements.fetchall()]
    assert found
    return [{name: row[name] for name in row if name != "batch_id"} for row in found]


def test_landing_is_played_as_it_was_received(version: Version, lake: Settings) -> None:
    upload(lake, version, "landing")
    for exchange, topic in TOPIC_OF_EXCHANGE.items():
        lines = landing_lines(version, exchange)
        in_topic = items_in(version.records([topic]))
        assert lines
        assert [line for line in lines if json.loads(line) not in in_topic] == []
        frames = frames_of(exchange, lines)
        landing = landing_at(f"s3://{lake.s3_bucket}/landing", lake)
        with (
            running(*Recording(landing=landing, speed=1000).exchanges()) as address,
            subscribed(address, exchange) as client,
        ):
            assert received(client, len(frames)) == frames


def landing_lines(version: Version, exchange: str) -> list[str]:
    return [
        line
        for content in version.objects(f"landing/{exchange}").values()
        for line in gzip.decompress(content).decode().split("\n")
        if line
    ]


def frames_of(exchange: str, lines: Sequence[str]) -> list[str]:
    """What the exchange sent: of Binance, neighbours that were received at once are one array."""
    if exchange == "kucoin":
        return [sent(line) for line in lines]
    return [
        f"[{','.join(map(sent, group))}]"
        for _received_at, group in itertools.groupby(
            lines, key=lambda line: json.loads(line)["received_at"]
        )
    ]


def sent(line: str) -> str:
    """An item without the time of its receipt, or the text that could not be read."""
    unreadable: str | None = json.loads(line).get("unreadable")
    return unreadable or re.sub(r',"received_at":\d+}$', "}", line)
