"""Compare KuCoin's extractor with cryptofeed's Kafka backend and a bare socket.

    make benchmark-extractor                       25,000 frames/s, three rounds
    make benchmark-extractor RATE=2000 SECONDS_LONG=20
    make benchmark-extractor RATE=0                as fast as each reads them

A generator sends prebuilt KuCoin frames. The contestants run in turn, each alone with Kafka and MinIO.
The extractor does all of its work: journal, Kafka, gzip, upload to landing/, metrics. The bare socket
only receives and parses. cryptofeed can't subscribe to `/market/ticker:all`: it gets the same number of
frames from 300 single symbols, its maximum on one connection.

The frames are sent over loopback without TLS, which would cost each contestant the same. CPU is user and
system time of the process with all threads. The delay is from a frame's due time to its append by the
broker, so it includes the wait for a batch. perf counts the system calls, which makes each a little
slower.
"""

import argparse
import os
from collections.abc import Sequence

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.extractors.load import Load, source_of
from benchmarks.extractors.result import Result, row
from benchmarks.extractors.round import Contestant, rounds
from benchmarks.extractors.topic import arrays, in_order
from benchmarks.harness.measuring import PYTHON, own_stack
from benchmarks.harness.report import publish
from exchanges.kucoin import KUCOIN
from infra import paths
from infra.stack import Stack

CRYPTOFEED_PYTHON = str(paths.TOOLS / "rivals-cryptofeed" / "bin" / "python")
CRYPTOFEED_TOPIC = "cryptofeed"

EXTRACTOR = Contestant(
    "the extractor", [PYTHON, "-m", "extractors", "kucoin"], KUCOIN.raw_topic, arrays
)
BARE = Contestant(
    "websocket-client and orjson alone",
    [PYTHON, "benchmarks/rivals/receive.py", "websocket-client", "{source}"],
)
CRYPTOFEED = Contestant(
    "cryptofeed, Kafka backend",
    [CRYPTOFEED_PYTHON, "benchmarks/rivals/cryptofeed_kafka.py", "{source}", CRYPTOFEED_TOPIC],
    CRYPTOFEED_TOPIC,
    in_order,
)

GOAL_RATE, GOAL_CPU, GOAL_MEGABYTES = 25_000, 38.0, 200.0


def main() -> None:
    load, number = arguments("The extractor beside cryptofeed and a bare socket")
    with own_stack("extractor") as stack, source_of(load, dict(os.environ)) as source:
        create_topic(stack)
        results = rounds([EXTRACTOR, BARE, CRYPTOFEED], load, stack, source, number)
    publish(
        "extractor",
        f"{load}; {number} rounds in turn: median (least to most)",
        [row(name, each) for name, each in results.items()],
        notes=[verdict(results[EXTRACTOR.name])] if load.rate == GOAL_RATE else [],
    )


def arguments(description: str) -> tuple[Load, int]:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rate", type=float, default=25_000, help="frames/s; 0: unlimited")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    return Load(given.rate, given.seconds), given.rounds


def create_topic(stack: Stack) -> None:
    """Create cryptofeed's topic: one partition, with the broker's timestamps as in the raw topics."""
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka_bootstrap_servers})
    topic = NewTopic(CRYPTOFEED_TOPIC, 1, 1, config={"message.timestamp.type": "LogAppendTime"})
    for created in admin.create_topics([topic]).values():
        created.result(timeout=30)


def verdict(results: Sequence[Result]) -> str:
    is_met = all(
        each.cpu <= GOAL_CPU and each.megabytes < GOAL_MEGABYTES and not each.missing
        for each in results
    )
    return (
        f"goal, in every round: up to {GOAL_CPU:.0f} us of CPU per frame, below "
        f"{GOAL_MEGABYTES:.0f} MB, no frame missing: {'met' if is_met else 'not met'}"
    )


if __name__ == "__main__":
    main()
