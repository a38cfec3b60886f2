"""Write a small copy of all data of an earlier version, made by that version itself.

    git clone . /tmp/earlier && git -C /tmp/earlier checkout 2f1e7d2 && make -C /tmp/earlier setup
    python -m tests.integration.upgrade.make_data /tmp/earlier tests/integration/upgrade/data/other

The services, extractors and jobs are those of the earlier version, in a new stack. The exchange is this
version's replay exchange with few symbols. Messages produced by hand have prices and numbers that the two
versions read differently. At the end the extractors are killed while Kafka is unavailable, so that a
journal is left.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.stack import Stack
from tests.compatibility.kept import TOPICS, Version
from tests.compatibility.make_data import (
    ENDPOINT,
    ITEMS,
    MINUTE,
    check,
    exchanges,
    journal_files,
    keep_bucket,
    keep_journals,
    keep_tables,
    records_in_kafka,
    run_jobs,
)
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item
from tests.support.kafka import Topic, all_items
from tests.support.process import Process
from tests.support.replay_exchange import running, settings_at
from tests.support.stacks import own_stack, state_after_stop
from tests.support.waiting import wait_for

START = """
from infra.stack import Stack, stack_of
from infra.up import services_up
from core.settings import Settings
services_up(stack_of("demo", Settings.from_environment()))
"""

DEADLINE = 900.0


def odd_items(at: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield messages that version 2f1e7d2 and this one read differently; `at` is in microseconds.

    A price of zero was a price. A number with an exponent, an empty one, and a size with nineteen decimals
    made their ticker a dead letter. Neither version can read the last message.
    """
    e = at // 1000
    for odd in (
        item(BTCUSDT, at, E=e, s="LTCUSDT", c="0.00000000"),
        item(ETHUSDT, at, E=e, c="1.46E-6"),
        item(ETHUSDT, at, E=e, s="XRPUSDT", v=""),
    ):
        yield "binance", [item(BTCUSDT, at, E=e), odd]
    for changed in ({"price": "0"}, {"price": "1E-7"}, {"size": "0.0000000000000000001"}):
        yield (
            "kucoin",
            [item(CRO_USDT, at), item({**CRO_USDT, "subject": "ODD-USDT"}, at, **changed)],
        )
    yield "kucoin", [{"unreadable": "neither version reads this", "received_at": at}]


def produce_odd(settings: Settings, at: int) -> None:
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers})
    headers: dict[str, str | bytes | None] = {"endpoint": ENDPOINT}
    for exchange, items in odd_items(at):
        topic = TOPIC_OF_EXCHANGE[exchange]
        producer.produce(topic, json.dumps(items).encode(), b"odd", 0, headers=headers)
    assert producer.flush(30) == 0


def start_services(clone: Path, stack: Stack) -> None:
    """Start the earlier version's services."""
    command = [str(clone / ".venv/bin/python"), "-c", START]
    subprocess.run(command, cwd=clone, env=in_clone(clone, stack.settings), check=True)


def in_clone(clone: Path, settings: Settings) -> Mapping[str, str]:
    """Return the environment of the earlier version's programs."""
    environment = {name: value for name, value in settings.environment().items() if value}
    # STACK_DIR remains the base folder: the earlier version's `stack_of` adds the feed's folder.
    return os.environ | environment | {"PATH": f"{clone}/.venv/bin:{os.environ['PATH']}"}


@contextmanager
def extractors(clone: Path, settings: Settings, logs: Path) -> Iterator[list[Process]]:
    """Run the earlier version's extractors; kill those that still run at the end of the block."""
    environment = dict(in_clone(clone, settings))
    programs = [
        Process(
            ["/bin/sh", "-c", f"cd {clone} && exec .venv/bin/python -m extractors {name}"],
            logs / f"{name}.log",
            environment,
        )
        for name in ITEMS
    ]
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()


def run_extractors(clone: Path, stack: Stack, settings: Settings) -> None:
    """Deliver items, end in good order, deliver more, and leave a journal that is partly in Kafka."""
    topics = {name: Topic(settings, topic) for name, topic in TOPIC_OF_EXCHANGE.items()}

    def received(times: int) -> bool:
        return all(len(all_items(topics[name].messages())) >= times * ITEMS[name] for name in ITEMS)

    with extractors(clone, settings, stack.log_folder) as programs:
        wait_for(lambda: received(2), deadline=DEADLINE)
        assert [program.terminate() for program in programs] == [0, 0]
    wait_for(lambda: state_after_stop(stack, "minio"), lambda state: state == "STOPPED")
    with extractors(clone, settings, stack.log_folder):
        wait_for(lambda: received(3), deadline=DEADLINE)
        wait_for(lambda: state_after_stop(stack, "kafka"), lambda state: state == "STOPPED")
        journals = [Path(settings.journal_dir) / name for name in ITEMS]
        sizes = [size_of(journal) for journal in journals]
        wait_for(
            lambda: [size_of(journal) for journal in journals],
            lambda now: all(new > old + 2000 for new, old in zip(now, sizes, strict=True)),
        )


def size_of(journal: Path) -> int:
    """Return the size of the journal in bytes."""
    return sum(path.stat().st_size for path in journal_files(journal))


def make(clone: Path, version: Version) -> None:
    with own_stack("upgrade-data") as plain:
        stack = replace(plain, settings=replace(plain.settings, lake_batch_seconds=1))
        start_services(clone, stack)
        produce_odd(stack.settings, time.time_ns() // 1000 - 2 * MINUTE)
        with running(*exchanges()) as address:
            run_extractors(clone, stack, settings_at(stack.settings, address))
        start_services(clone, stack)
        records = records_in_kafka(stack.settings)
        run_jobs(stack, records)
        version.folder.mkdir(parents=True)
        for topic in TOPICS:
            version.write_records(topic, (each for each in records if each.topic == topic))
        keep_tables(stack, version)
        keep_journals(stack.settings, version)
        keep_bucket(stack.settings, version)
        check(version, stack)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.upgrade.make_data")
    parser.add_argument("clone", type=Path, help="a clone at the earlier version, with its setup")
    parser.add_argument("folder", type=Path, help="a new folder")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"{arguments.folder} is there already")
    make(arguments.clone.resolve(), Version(arguments.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
