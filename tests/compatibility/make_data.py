"""Write a small copy of this version's data, for the tests of later versions.

    python -m tests.compatibility.make_data tests/compatibility/data/0.1.0

Start a new stack with a replay exchange of few symbols. Run the real extractors three times: once with
an orderly shutdown, and twice until they are killed while MinIO is unavailable, so that a journal is
left. Let the real jobs read everything, request the server's answers, and copy the data to the folder.
There are no exchange candles, because a stack for tests requests none.
"""

import argparse
import json
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
from confluent_kafka import Consumer, Producer, TopicPartition

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS, TOPIC_OF_EXCHANGE
from infra import supervision
from infra.paths import PROJECT
from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.faults.faults import Close, Unreadable
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.kucoin.frames import KucoinUpdate
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import binance_listing, kucoin_listing, kucoin_trading
from infra.replay.server import KUCOIN_PARTS
from infra.replay.source import now_ms
from infra.services import object_store
from infra.stack import Stack
from infra.up import services_up
from tests.compatibility.kept import TOPICS, Answer, Record, Version
from tests.support.event_stream import event_stream
from tests.support.extractor import Extractor
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item
from tests.support.kafka import Topic, all_items
from tests.support.live_job import wait_for_batch
from tests.support.process import run
from tests.support.replay_exchange import inflict, running, settings_at
from tests.support.server import running_server
from tests.support.small_messages import instrument
from tests.support.stacks import own_stack, unavailable
from tests.support.waiting import wait_for

BINANCE = "币安人生USDT BTCUSDT ETHUSDT BNBUSDT XRPUSDT ADAUSDT LTCUSDT ADAEUR ETHBTC".split()
KUCOIN = (
    "BTC-USDT ETH-USDT XRP-USDT ADA-USDT LTC-USDT DOGE-USDT KCS-USDT BCHSV-USDT ETH-BTC".split()
)
SEED = 1
ENDPOINT = b"127.0.0.1"

ITEMS = {"binance": 12, "kucoin": 40}
"""Minimum items of each exchange in a run of the extractors."""

LARGEST = 1_000_000
"""Maximum size of a version's data, in bytes."""

MINUTE = 60_000_000
DEADLINE = 900.0


def exchanges() -> tuple[Binance, Kucoin]:
    """Return a replay exchange with few symbols and few changes."""
    # Market takes the first symbol as the busiest: it is in every part of the data.
    binance = sorted(
        (pair for pair in binance_listing() if pair.symbol in BINANCE),
        key=lambda pair: BINANCE.index(pair.symbol),
    )
    listing = [each for each in kucoin_listing() if each["symbol"] in KUCOIN]
    kucoin = kucoin_trading(listing)
    coins = Coins([*binance, *kucoin], SEED)
    now = now_ms()
    arrays = Market(binance, coins, seed=SEED, period=1.0, changed=0.4, traded=1, now=now)
    frames = Market(kucoin, coins, seed=SEED, period=0.1, changed=0.1, traded=0.1, now=now)
    return (
        Binance(SimulatedSource(arrays, BinanceUpdate), binance, binance),
        Kucoin(SimulatedSource(frames, KucoinUpdate, KUCOIN_PARTS), listing),
    )


def produce_by_hand(settings: Settings, start: int) -> None:
    """Produce messages with chosen times and unreadable messages; `start` is the start of a minute.

    Call it before the extractors run: a kept journal has no record of what Kafka has, so it resumes from
    the last message of each partition.
    """
    messages: list[tuple[str, bytes, Any]] = [
        *((TOPIC_OF_EXCHANGE["binance"], b"binance-0", array) for array in old_tickers(start)),
        (TOPIC_OF_EXCHANGE["binance"], b"binance-0", b"no JSON"),
        (
            TOPIC_OF_EXCHANGE["binance"],
            b"binance-0",
            [at(ETHUSDT, start), "bad", at(ETHUSDT, start, c="abc")],
        ),
        (TOPIC_OF_EXCHANGE["kucoin"], b"kucoin-0", b'[{"subject":"\xff\xfe"}'),
        (
            TOPIC_OF_EXCHANGE["kucoin"],
            b"kucoin-0",
            [item(CRO_USDT, start), item(CRO_USDT, start + MINUTE)],
        ),
        (INSTRUMENTS, b"binance/GONEUSDT", instrument(symbol="GONEUSDT", base="GONE")),
        (FEED_EVENTS, b"binance", b"no JSON"),
    ]
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    for topic, key, message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers: dict[str, str | bytes | None] = {"endpoint": ENDPOINT}
        producer.produce(topic, value, key, 0, headers=headers)
    assert producer.flush(30) == 0


def old_tickers(start: int) -> Iterator[list[dict[str, Any]]]:
    """Yield four tickers of BTCUSDT in each of two minutes; their candles have four different prices."""
    for minute in (start, start + MINUTE):
        prices = ("85439.99000000", "85500.00000001", "85400.10000000", "85450.00000000")
        yield [
            at(BTCUSDT, minute + 10_000_000 * number, c=price)
            for number, price in enumerate(prices, 1)
        ]


def at(ticker: dict[str, Any], received_at: int, **changed: Any) -> dict[str, Any]:
    """Return a Binance ticker that was sent 1 ms before it was received."""
    return item(ticker, received_at, E=received_at // 1000 - 1, **changed)


class Extractors:
    """Both extractors, and the messages in their topics since they were started."""

    def __init__(self, settings: Settings, logs: Path, run: str) -> None:
        self._topics = {name: Topic(settings, TOPIC_OF_EXCHANGE[name]) for name in ITEMS}
        self.processes = {
            name: Extractor(name, settings, logs / f"{name}-{run}.log") for name in ITEMS
        }

    def wait_for(self, condition: Callable[[str], bool]) -> None:
        """Wait until the condition is true for each exchange."""
        for name, process in self.processes.items():
            process.wait_for(partial(condition, name), deadline=DEADLINE)

    def wait_for_items(self) -> None:
        """Wait until Kafka has enough items."""
        self.wait_for(lambda name: len(all_items(self._topics[name].messages())) >= ITEMS[name])

    def wait_for_lag(self) -> None:
        """Wait until the journal has enough items that Kafka does not have."""
        self.wait_for(
            lambda name: self.processes[name].metric("kafka_lag_items") >= ITEMS[name] / 2
        )

    def wait_for_one_packed_segment(self) -> None:
        """Wait until each journal has one compressed segment and one plain segment."""

        def is_packed(name: str) -> bool:
            files = [path.suffix for path in journal_files(self.processes[name].journal / name)]
            return sorted(files) == [".gz", ".jsonl"]

        self.wait_for(is_packed)

    def end(self) -> None:
        for name, process in self.processes.items():
            assert process.terminate() == 0, f"{name}: {process.log()}"

    def kill(self) -> None:
        for process in self.processes.values():
            process.kill()


@contextmanager
def extractors(settings: Settings, logs: Path, run: str) -> Iterator[Extractors]:
    """Run both extractors; kill them at the end of the block if they still run."""
    both = Extractors(settings, logs, run)
    try:
        yield both
    finally:
        both.kill()


def journal_files(journal: Path) -> list[Path]:
    return sorted(journal.glob("*.jsonl*"))


def run_in_good_order(settings: Settings, logs: Path, address: str) -> None:
    """Deliver all items to Kafka and `landing/`. KuCoin sends unreadable frames and closes once."""
    inflict(address, "kucoin", Unreadable(every=20))
    events = Topic(settings, FEED_EVENTS)

    def is_close(event: dict[str, Any]) -> bool:
        return str(event["reason"]).startswith("closed") and event["kind"] == "interruption"

    with extractors(settings, logs, "in-order") as both:
        both.wait_for_items()
        inflict(address, "kucoin", Close(), "open")
        wait_for(
            lambda: [json.loads(message.value() or b"") for message in events.messages()],
            lambda found: any(is_close(event) and event["to"] for event in found),
        )
        both.end()


def leave_a_journal(stack: Stack, settings: Settings, logs: Path) -> None:
    """Leave a compressed and a plain segment per exchange: partly in Kafka, not in `landing/`."""
    with unavailable(stack, "minio"):
        with extractors(settings, logs, "first") as both:
            both.wait_for_items()
        with extractors(settings, logs, "second") as both:
            both.wait_for_items()
            both.wait_for_one_packed_segment()
            with unavailable(stack, "kafka"):
                both.wait_for_lag()
                both.kill()


def run_jobs(stack: Stack, records: list[Record]) -> None:
    """Run the jobs until each query has read each of its records once."""
    log = stack.log_folder / "jobs.log"
    raw = sum(record.topic in EXCHANGE_OF_TOPIC for record in records)
    expected = dict.fromkeys(("live_prices", "raw_archive", "price_history"), raw)
    expected["small_topics"] = len(records) - raw
    supervision.start_programs(stack, ["jobs"])
    wait_for(
        lambda: messages_read(log.read_text() if log.exists() else ""),
        lambda read: read == expected,
        deadline=DEADLINE,
    )
    supervision.stop_programs(stack, ["jobs"])


def messages_read(log: str) -> dict[str, int]:
    """Return the messages read by each query, summed over its batches."""
    read: Counter[str] = Counter()
    for query, messages in re.findall(r"query=(\w+) batch=\d+ messages=(\d+)", log):
        read[query] += int(messages)
    return dict(read)


def records_in_kafka(settings: Settings) -> list[Record]:
    """Return every record of TOPICS, partition by partition."""
    servers = {"bootstrap.servers": settings.kafka_bootstrap_servers}
    with closing(Consumer({**servers, "group.id": "make_data"})) as consumer:
        return [
            record
            for topic in TOPICS
            for number in sorted(consumer.list_topics(topic).topics[topic].partitions)
            for record in records_of(consumer, TopicPartition(topic, number, 0))
        ]


def records_of(consumer: Consumer, partition: TopicPartition) -> Iterator[Record]:
    _low, end = consumer.get_watermark_offsets(partition)
    consumer.assign([partition])
    at = 0
    while at < end:
        message = consumer.poll(30)
        assert message is not None and message.error() is None, message
        at = (message.offset() or 0) + 1
        _kind, timestamp = message.timestamp()
        headers = dict(message.headers() or [])
        yield Record(
            partition.topic,
            partition.partition,
            at - 1,
            timestamp,
            message.key(),
            [(name, value) for name, value in headers.items() if isinstance(value, bytes)],
            message.value(),
        )


def keep_tables(stack: Stack, version: Version) -> None:
    """Dump all tables, including those of the migrations, without traces of this machine."""
    url = stack.settings.database_url
    with closing(psycopg2.connect(url)) as database, database, database.cursor() as statements:
        # The ids hold the machine's network address.
        statements.execute(
            "UPDATE _yoyo_log SET id = md5(migration_id)::uuid, username = 'crypto',"
            " hostname = '127.0.0.1'"
        )
    run(
        [
            *(stack.postgres_bin / "pg_dump", url, "--file", version.tables),
            *("--no-owner", "--no-privileges", "--restrict-key=compatibility"),
        ]
    )


def keep_journals(settings: Settings, version: Version) -> None:
    """Copy the ids and segments of the journals that the killed processes left."""
    for name in ITEMS:
        source, target = Path(settings.journal_dir) / name, version.journals / name
        target.mkdir(parents=True)
        for path in (source / "id", *journal_files(source)):
            (target / path.name).write_bytes(path.read_bytes())


def keep_bucket(settings: Settings, version: Version) -> None:
    store, bucket = object_store.client(settings), settings.s3_bucket
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    version.write_objects(
        {key: store.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    )


def keep_answers(settings: Settings, version: Version, start: int) -> None:
    day = datetime.fromtimestamp(start / 1e6, UTC).date()
    span = f"from={day}T00:00:00Z&to={day + timedelta(days=2)}T00:00:00Z&limit=1000"
    paths = {
        "prices": "/api/prices",
        "candles_1m": f"/api/candles/binance/BTCUSDT?interval=1m&{span}",
        "candles_5m": f"/api/candles/binance/BTCUSDT?interval=5m&{span}",
        "instruments": "/api/instruments",
        "feeds": "/api/feeds?limit=100",
        "compare": "/api/compare?quote=USDT&include=stale",
    }
    with running_server(settings.reader_database_url) as server:
        wait_for_batch(server, 1)
        for name, path in paths.items():
            version.write_answer(name, Answer(path, server.get(path).json()))
        with event_stream(server.port) as stream:
            version.write_stream(Answer("/stream", stream.receive()))


def check(version: Version, stack: Stack) -> None:
    """Raise AssertionError if the data are too large or name this machine."""
    files = [path for path in version.folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    assert size < LARGEST, f"{size} bytes"
    for name in (socket.gethostname(), str(PROJECT), str(stack.folder)):
        naming = [str(path) for path in files if name.encode() in path.read_bytes()]
        assert not naming, f"{name} is named in {naming}"


def make(version: Version) -> None:
    with own_stack("compatibility") as plain:
        # Short batches of the lake, so that nothing waits for one to fill.
        stack = replace(plain, settings=replace(plain.settings, lake_batch_seconds=1))
        services_up(stack)
        start = (time.time_ns() // 1000 // MINUTE - 3) * MINUTE
        produce_by_hand(stack.settings, start)
        with running(*exchanges()) as address:
            settings = settings_at(
                stack.settings,
                address,
            )
            run_in_good_order(settings, stack.log_folder, address)
            run_jobs(stack, records_in_kafka(settings))
            leave_a_journal(stack, settings, stack.log_folder)
        records = records_in_kafka(settings)
        run_jobs(stack, records)

        version.folder.mkdir(parents=True)
        for topic in TOPICS:
            version.write_records(topic, (each for each in records if each.topic == topic))
        keep_answers(settings, version, start)
        keep_tables(stack, version)
        keep_journals(settings, version)
        keep_bucket(settings, version)
        check(version, stack)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.compatibility.make_data")
    parser.add_argument("folder", type=Path, help="a new folder, named like the version")
    folder: Path = parser.parse_args().folder
    if folder.exists():
        parser.error(f"{folder} is there already: the data of a version are made once")
    make(Version(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
