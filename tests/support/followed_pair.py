"""Make the tickers of a pair that moves on Binance first, and on KuCoin some seconds later."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from core.message import partition_of
from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.services.kafka import RAW_TOPIC_PARTITIONS
from tests.support.frames import BTCUSDT, CRO_USDT, item, microseconds
from tests.support.kafka import produce

SYMBOL_OF = {BINANCE.name: "BTCUSDT", KUCOIN.name: "BTC-USDT"}

LEAD = 3
"""Seconds by which Binance leads."""

ON_THE_WAY = timedelta(milliseconds=400)
"""Time of a ticker from Binance to the extractor."""

SECONDS_PER_MESSAGE = 60
"""Number of seconds whose tickers share a message."""


def prices(seconds: int) -> dict[str, list[float]]:
    """Return the price of each second on each exchange: the same walk, delayed on KuCoin."""
    walk = random.Random(1)
    course = [85_000.0]
    for _ in range(seconds + LEAD - 1):
        course.append(round(course[-1] + walk.gauss(0, 8), 2))
    return {BINANCE.name: course[LEAD:], KUCOIN.name: course[:seconds]}


def send(
    settings: Settings, start: datetime, seconds: Sequence[int], course: dict[str, list[float]]
) -> None:
    """Send a ticker of each exchange for each of these seconds after `start`, a minute in a message."""
    for first in range(0, len(seconds), SECONDS_PER_MESSAGE):
        minute = seconds[first : first + SECONDS_PER_MESSAGE]
        for topic, make in ((BINANCE.raw_topic, of_binance), (KUCOIN.raw_topic, of_kucoin)):
            name = topic.removesuffix("_raw_data")
            items = [make(start, second, course[name][second]) for second in minute]
            partition = partition_of(SYMBOL_OF[name], RAW_TOPIC_PARTITIONS)
            produce(settings, topic, items, partition=partition)


def of_binance(start: datetime, second: int, price: float) -> dict[str, Any]:
    event = start + timedelta(seconds=second, milliseconds=200)
    return item(
        BTCUSDT,
        microseconds(event + ON_THE_WAY),
        E=microseconds(event) // 1000,
        c=f"{price:.2f}",
    )


def of_kucoin(start: datetime, second: int, price: float) -> dict[str, Any]:
    received = start + timedelta(seconds=second, milliseconds=600)
    frame = {**CRO_USDT, "subject": SYMBOL_OF[KUCOIN.name]}
    return item(frame, microseconds(received), price=f"{price:.2f}", sequence=str(second + 1))
