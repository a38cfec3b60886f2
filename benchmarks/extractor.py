"""Measure KuCoin's extractor as it is run, beside cryptofeed's Kafka backend and a bare socket.

    make benchmark-extractor                       25,000 frames/s, three rounds
    make benchmark-extractor RATE=2000 SECONDS_LONG=20
    make benchmark-extractor RATE=0                as fast as each takes them

A generator sends prebuilt KuCoin frames. The contestants run in turn, each alone with Kafka and MinIO.
The extractor does all that it does: journal, Kafka, gzip and upload to landing/, metrics. The bare socket
only receives and parses. cryptofeed can't subscribe to `/market/ticker:all`: it gets the same number of
frames, of the 300 single symbols that it accepts on one connection.

The frames come over loopback without TLS, which would cost each contestant the same. CPU is user and
system time of the process, all its threads. The delay lasts from when a frame was due to its append by
the broker, so a batch's second is in it. perf counts the system calls meanwhile, which makes each of them
a little longer.
"""

import argparse
import os
from collections.abc import Sequence

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.extractor_load import Load, source_of
from benchmarks.extractor_result import Result, row
from benchmarks.extractor_round import Contestant, rounds
from benchmarks.extractor_topic import arrays, in_order
from benchmarks.measuring import own_stack
from benchmarks.report import publish
from exchanges.kucoin import KUCOIN
from infra import paths
from infra.stack import Stack

PYTHON = str(paths.VENV_BIN / "python")
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
    parser.add_argument("--rate", type=float, default=25_000, help="0: as fast as they are taken")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    return Load(given.rate, given.seconds), given.rounds


def create_topic(stack: Stack) -> None:
    """One partition, stamped by the broker as the raw topics are."""
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
        f"goal, in every round: {GOAL_CPU:.0f} us of CPU for each frame at most, below "
        f"{GOAL_MEGABYTES:.0f} MB, no frame missing: {'met' if is_met else 'not met'}"
    )


if __name__ == "__main__":
    main()
