"""Measure latency from the exchange's send to a client, through all parts of the pipeline.

    make benchmark-whole-way

Runs a separate demo: the replay exchange, extractors, Kafka, all Spark queries, Postgres, the server,
and one WebSocket client. Uses Binance's prices, because they have the time of their change: a frame is
sent at its newest change. KuCoin's have only the time of the last trade. Each price names its Kafka
message, which has the broker's timestamp, and its batch, which has the time of its commit. All clocks
are this machine's.

Binance's frames go to Kafka immediately; KuCoin's wait for their batch: see benchmarks/batch_seconds.py.
"""

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from statistics import quantiles
from typing import NamedTuple

import psycopg2
from confluent_kafka import Consumer, TopicPartition
from websockets.sync.client import connect

from benchmarks.harness.measuring import running_demo
from benchmarks.harness.report import publish
from core.settings import Settings
from exchanges.binance import BINANCE
from infra.stack import StackError

WARM_SECONDS = 60
"""The JVM compiles in the first minute."""

SILENCE = 10.0
PARTS = (
    "exchange sends to extractor receives",
    "there to Kafka",
    "Kafka to COMMIT: Spark and the upsert",
    "COMMIT to client",
    "in all",
)
PERCENTILES = (50, 95, 99)

Place = tuple[int, int]
"""Partition and offset."""


class Arrival(NamedTuple):
    """One price that arrived at the client. Times are seconds since the epoch."""

    place: Place
    batch: int
    changed: float
    received: float
    arrived: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency of the whole way, from send to client")
    parser.add_argument("--seconds", type=float, default=120)
    seconds = parser.parse_args().seconds
    with running_demo("whole_way") as stack:
        time.sleep(WARM_SECONDS)
        arrivals = list(followed(stack.settings, seconds))
        sent = sent_at(arrivals)
        in_kafka = in_kafka_at(stack.settings, {arrival.place for arrival in arrivals})
        committed = committed_at(stack.settings)
    took = [parts(arrival, sent, in_kafka, committed) for arrival in arrivals]
    publish("whole_way", f"{len(arrivals):,} prices of Binance in {seconds:.0f} s", [*rows(took)])


def followed(settings: Settings, seconds: float) -> Iterator[Arrival]:
    """Yield the prices that one client receives after its snapshot."""
    url = f"ws://{settings.server_host}:{settings.server_port}/ws?exchange=binance"
    with connect(url, max_size=None, compression=None) as stream:
        stream.recv(SILENCE)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = stream.recv(SILENCE)
            arrived = time.time()
            for row in json.loads(text).get("prices", ()):
                yield Arrival(
                    (row["partition"], row["offset"]),
                    row["batch_id"],
                    datetime.fromisoformat(row["event_time"]).timestamp(),
                    datetime.fromisoformat(row["received_at"]).timestamp(),
                    arrived,
                )


def sent_at(arrivals: Iterable[Arrival]) -> dict[float, float]:
    """Return when the exchange sent each frame, by the time at which the extractor received it."""
    newest: dict[float, float] = {}
    for arrival in arrivals:
        newest[arrival.received] = max(arrival.changed, newest.get(arrival.received, 0.0))
    return newest


def in_kafka_at(settings: Settings, places: set[Place]) -> dict[Place, float]:
    """Return when the broker appended these messages of Binance. Raise StackError if reading fails."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "group.id": "whole-way"}
    )
    first: dict[int, int] = {}
    for partition, offset in places:
        first[partition] = min(offset, first.get(partition, offset))
    found: dict[Place, float] = {}
    with closing(consumer):
        consumer.assign([TopicPartition(BINANCE.raw_topic, *start) for start in first.items()])
        while not places <= found.keys():
            message = consumer.poll(SILENCE)
            if message is None or message.error():
                raise StackError(
                    f"read {len(places & found.keys())} of {len(places)} messages: {message}"
                )
            _kind, milliseconds = message.timestamp()
            found[message.partition() or 0, message.offset() or 0] = milliseconds / 1000
    return found


def committed_at(settings: Settings) -> dict[int, float]:
    """Return when the transaction of each batch had done its work, just before COMMIT."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute("SELECT id, extract(epoch FROM committed_at)::float8 FROM batches")
            return dict(statements.fetchall())


def parts(
    arrival: Arrival,
    sent: dict[float, float],
    in_kafka: dict[Place, float],
    committed: dict[int, float],
) -> tuple[float, ...]:
    """Return the seconds of each of PARTS."""
    moments = (
        sent[arrival.received],
        arrival.received,
        in_kafka[arrival.place],
        committed[arrival.batch],
        arrival.arrived,
    )
    steps = [later - earlier for earlier, later in pairwise(moments)]
    return (*steps, sum(steps))


def rows(took: Iterable[tuple[float, ...]]) -> Iterator[dict[str, str]]:
    for part, seconds in zip(PARTS, zip(*took, strict=True), strict=True):
        cuts = quantiles(seconds, n=100)
        yield {"seconds": part} | {
            f"p{percent}": f"{cuts[percent - 1]:.2f}" for percent in PERCENTILES
        }


if __name__ == "__main__":
    main()
