"""Inflict random faults on the exchanges for the length of a block."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from threading import Event

import requests

from core.topics import TOPIC_OF_EXCHANGE
from tests.support.random_faults import faults_of, strike
from tests.support.replay_exchange import clear

PAUSES = (2.0, 12.0)
"""Range of seconds between two faults. An extractor may back off for 30 s before it reconnects."""


@contextmanager
def misbehaving(address: str, chance: random.Random) -> Iterator[dict[str, Counter[str]]]:
    """Yield a live count of faults by exchange and name. At the end of the block, remove all faults."""
    inflicted: dict[str, Counter[str]] = {exchange: Counter() for exchange in TOPIC_OF_EXCHANGE}
    ended = Event()

    def misbehave() -> None:
        while not ended.wait(chance.uniform(*PAUSES)):
            exchange = chance.choice(list(inflicted))
            fault = chance.choice(faults_of(exchange))
            # The request may time out on a busy machine.
            with suppress(requests.Timeout):
                strike(address, exchange, fault)
                inflicted[exchange][fault.name()] += 1

    with ThreadPoolExecutor(1, "misbehaviour") as pool:
        done = pool.submit(misbehave)
        try:
            yield inflicted
        finally:
            ended.set()
            done.result()
            for exchange in inflicted:
                clear(address, exchange)
