"""Send messages to Kafka on schedule, and compute how long their ticks waited for their commit."""

import bisect
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil
from confluent_kafka import Message

from benchmarks.harness.sending import producer, send
from benchmarks.harness.ticks import Ticks, messages
from exchanges.binance import BINANCE
from infra.stack import StackError

SPREAD = (0.0, 0.25, 0.5, 0.75)


class Sent(NamedTuple):
    topic: str
    partition: int
    offset: int
    ticks: int
    at: float


class Reached(NamedTuple):
    """Committed next offsets of one partition, ascending, and the times of their commits."""

    offsets: Sequence[int]
    times: Sequence[float]


Partitions = Mapping[tuple[str, int], Reached]


class Load:
    """Sends each message of `messages` on schedule, and records its offset."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._producer = producer(bootstrap_servers)
        self.sent: list[Sent] = []

    def run(self, started: psutil.Popen, seconds: int) -> None:
        """Send messages for `seconds`. Raise StackError if the job ends meanwhile."""
        began = time.time()
        until = int((began + seconds) * 1e6)
        for number, message in enumerate(messages(seconds, until)):
            # Eight messages per second: four of Binance, then four of KuCoin.
            second, position = divmod(number, 2 * len(SPREAD))
            is_binance = message.topic == BINANCE.raw_topic
            due = began + second + (0.0 if is_binance else SPREAD[position % len(SPREAD)])
            self._producer.poll(max(0.0, due - time.time()))
            time.sleep(max(0.0, due - time.time()))
            self._send(message)
            if started.poll() is not None:
                raise StackError(f"{started.args} ended with {started.returncode}")
        self._producer.flush()

    def _send(self, message: Ticks) -> None:
        at = time.time()

        def delivered(found: Message) -> None:
            self.sent.append(
                Sent(message.topic, message.partition, found.offset() or 0, message.ticks, at)
            )

        send(self._producer, message, delivered)


def is_reached(sent: Sequence[Sent], reached: Partitions) -> bool:
    """Return whether each message is below a committed offset."""
    last = {partition: each.offsets[-1] for partition, each in reached.items()}
    return all(each.offset < last.get((each.topic, each.partition), 0) for each in sent)


def waits(sent: Sequence[Sent], reached: Partitions) -> list[tuple[float, int]]:
    """Return each message's wait for its commit, in seconds, and its number of ticks, sorted."""
    found = []
    for topic, partition, offset, ticks, at in sent:
        offsets, times = reached[topic, partition]
        found.append((times[bisect.bisect_right(offsets, offset)] - at, ticks))
    return sorted(found)


def percentile(waited: Sequence[tuple[float, int]], share: float) -> float:
    """Return the seconds within which this share of the ticks was committed; `waited` is sorted."""
    rest = share * sum(ticks for _, ticks in waited)
    for seconds, ticks in waited:
        rest -= ticks
        if rest <= 0:
            return seconds
    raise ValueError(f"share={share}: expected 0 to 1")
