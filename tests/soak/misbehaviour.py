"""Exchanges that misbehave at random for the length of a block."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

import requests

from core.topics import TOPIC_OF_EXCHANGE
from infra.replay.faults.faults import Close, Unauthorized
from tests.support.random_faults import faults_of, strike
from tests.support.replay_exchange import clear, inflict

PAUSES = (2.0, 12.0)
"""Seconds between two faults. An extractor may need 10 s to connect again, and then data must flow."""


@contextmanager
def misbehaving(address: str, chance: random.Random) -> Iterator[dict[str, Counter[str]]]:
    """Yield the number of faults by exchange and name, which grows. At the end, all faults are removed."""
    given: dict[str, Counter[str]] = {exchange: Counter() for exchange in TOPIC_OF_EXCHANGE}
    ended = Event()

    def misbehave() -> None:
        while not ended.wait(chance.uniform(*PAUSES)):
            exchange = chance.choice(list(given))
            fault = chance.choice(faults_of(exchange))
            # A machine on which everything starts at once may take too long for an answer.
            with suppress(requests.Timeout):
                strike(address, exchange, fault)
                given[exchange][fault.name()] += 1

    with ThreadPoolExecutor(1, "misbehaviour") as pool:
        done = pool.submit(misbehave)
        try:
            yield given
        finally:
            ended.set()
            done.result()
            for exchange in given:
                clear(address, exchange)


def close(address: str) -> None:
    """Close all connections of both exchanges in an orderly way, and refuse new ones."""
    for exchange in TOPIC_OF_EXCHANGE:
        inflict(address, exchange, Unauthorized(), "every")
        inflict(address, exchange, Close(), "standing")
