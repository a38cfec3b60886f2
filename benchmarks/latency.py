"""From produced to committed, at 4,000 ticks a second.

    make benchmark-latency                     ten minutes of the live job alone
    make benchmark-latency JOB=jobs            the same with the lake's queries in the application

Each message is sent at its time: Binance's once a second, as its feed comes, KuCoin's spread over the
second. The time of a tick is that from the call of produce() to the commit of the transaction that had
its message, by the `offsets` and `committed_at` of the table batches; both clocks are this machine's.
The first minute is left out: the JVM compiles then.
"""

import argparse
import bisect
import time
from collections import defaultdict
from contextlib import closing
from typing import NamedTuple

import psutil
import psycopg2
from confluent_kafka import Message, Producer

from benchmarks.measuring import machine, megabytes, own_stack, process, table
from benchmarks.ticks import TICKS_A_SECOND, Ticks, messages
from core.message import ENDPOINT_HEADER, message_key
from core.settings import Settings
from core.topics import BINANCE_RAW_DATA, EXCHANGE_OF_TOPIC
from extractors.producer import CONFIGURATION
from infra import places
from infra.stack import StackError
from infra.up import wait_until

WARM_SECONDS = 60
START_LIMIT = 120.0
SPREAD = (0.0, 0.25, 0.5, 0.75)

BATCHES = "SELECT offsets, extract(epoch FROM committed_at)::float8 FROM batches ORDER BY id"


class Sent(NamedTuple):
    topic: str
    partition: int
    offset: int
    ticks: int
    at: float


class Load:
    """Sends what `messages` gives, each at its time, and keeps which offset it got."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = Producer({**CONFIGURATION, "bootstrap.servers": bootstrap_servers})
        self.sent: list[Sent] = []

    def run(self, started: psutil.Popen, seconds: int) -> None:
        """Raises StackError when the job ends meanwhile."""
        began = time.time()
        until = int((began + seconds) * 1e6)
        for number, message in enumerate(messages(seconds, until)):
            # Eight messages a second: four of Binance, then four of KuCoin.
            second, place = divmod(number, 2 * len(SPREAD))
            is_binance = message.topic == BINANCE_RAW_DATA
            due = began + second + (0.0 if is_binance else SPREAD[place % len(SPREAD)])
            self._producer.poll(max(0.0, due - time.time()))
            time.sleep(max(0.0, due - time.time()))
            self._send(message)
            if started.poll() is not None:
                raise StackError(f"{started.args} ended with {started.returncode}")
        self._producer.flush()

    def _send(self, message: Ticks) -> None:
        at = time.time()

        def delivered(error: object, found: Message) -> None:
            if error:
                raise StackError(f"Kafka refused a message: {error}")
            self.sent.append(
                Sent(message.topic, message.partition, found.offset() or 0, message.ticks, at)
            )

        self._producer.produce(
            message.topic,
            message.value,
            message_key(EXCHANGE_OF_TOPIC[message.topic], message.partition),
            message.partition,
            headers=[(ENDPOINT_HEADER, "127.0.0.1")],
            on_delivery=delivered,
        )


def waits(settings: Settings, sent: list[Sent]) -> list[tuple[float, int]]:
    """Seconds that the ticks of each message waited for their commit, and how many ticks they are."""
    reached: dict[tuple[str, int], tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(BATCHES)
            for topics, committed_at in statements.fetchall():
                for topic, partitions in topics.items():
                    for partition, next_offset in partitions.items():
                        offsets, times = reached[topic, int(partition)]
                        offsets.append(next_offset)
                        times.append(committed_at)
    found = []
    for topic, partition, offset, ticks, at in sent:
        offsets, times = reached[topic, partition]
        found.append((times[bisect.bisect_right(offsets, offset)] - at, ticks))
    return found


def percentile(found: list[tuple[float, int]], share: float) -> float:
    """Of the ticks: the seconds within which this share of them was committed."""
    rest = share * sum(ticks for _, ticks in found)
    for seconds, ticks in sorted(found):
        rest -= ticks
        if rest <= 0:
            return seconds
    raise ValueError(f"share={share}: expected 0 to 1")


def main() -> None:
    parser = argparse.ArgumentParser(description="From produced to committed at 4,000 ticks/s")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--job", choices=("live_prices", "jobs"), default="live_prices")
    arguments = parser.parse_args()
    command = [str(places.VENV_BIN / "spark-submit"), f"spark_jobs/{arguments.job}.py"]
    with own_stack("latency") as stack:
        settings = stack.settings
        load = Load(settings.kafka_bootstrap_servers)
        with (
            process(command, stack, settings, stack.log_folder / "job.log") as started,
            closing(psycopg2.connect(settings.database_url)) as database,
        ):
            database.autocommit = True
            load.run(started, WARM_SECONDS)
            warm, before = len(load.sent), megabytes(started)
            load.run(started, arguments.seconds)
            after = megabytes(started)

            def is_committed() -> bool:
                with database.cursor() as statements:
                    statements.execute("SELECT sum(updates) FROM candles_1m")
                    return statements.fetchall() == [(sum(each.ticks for each in load.sent),)]

            if not wait_until(is_committed, deadline=START_LIMIT):
                raise StackError(
                    f"not all was committed {START_LIMIT:.0f} s after the last message"
                )
            found = waits(settings, load.sent[warm:])
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    print(f"{machine()}; {TICKS_A_SECOND:,} ticks/s for {arguments.seconds} s")
    print(
        table(
            [
                {"seconds, produced to committed": arguments.job}
                | {name: f"{percentile(found, share):.2f}" for name, share in shares.items()}
                | {"MB before": f"{before:.0f}", "after": f"{after:.0f}"}
            ]
        )
    )


if __name__ == "__main__":
    main()
