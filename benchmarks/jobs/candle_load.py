"""Send Binance's candles to topic `exchange_candles`, at the rate of both extractors' first start."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread

import confluent_kafka

from core.message import candles_key, candles_message
from core.topics import EXCHANGE_CANDLES
from exchanges.binance import BINANCE
from exchanges.exchange import CANDLE_SECONDS
from exchanges.kucoin import KUCOIN

MESSAGES_A_SECOND = sum(
    1 / each.candles.request_interval for each in (BINANCE, KUCOIN) if each.candles
)
"""About 24: a third of what both exchanges allow."""

LENGTHS = {"1m": 361, "1h": 721, "1d": 366}
"""Candles per message."""


@contextmanager
def sending_candles(bootstrap_servers: str) -> Iterator[None]:
    """Send candles of one pair after the other during the block."""
    ended = Event()
    thread = Thread(target=_send, args=(bootstrap_servers, ended))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _send(bootstrap_servers: str, ended: Event) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": bootstrap_servers, "compression.type": "zstd", "linger.ms": 0}
    )
    now = int(time.time())
    responses = {interval: _response(now, interval) for interval in LENGTHS}
    began = time.monotonic()
    for number in count():
        if ended.wait(max(0.0, began + number / MESSAGES_A_SECOND - time.monotonic())):
            break
        pair, position = divmod(number, len(LENGTHS))
        interval = [*LENGTHS][position]
        symbol = f"PAIR{pair}USDT"
        fields = {
            "exchange": BINANCE.name,
            "symbol": symbol,
            "interval": interval,
            "from": (now - LENGTHS[interval] * CANDLE_SECONDS[interval]) * 1_000_000,
            "to": now * 1_000_000,
            "received_at": now * 1_000_000,
            "reason": None,
        }
        key = candles_key(BINANCE.name, symbol, interval)
        producer.produce(EXCHANGE_CANDLES, candles_message(fields, responses[interval]), key)
        producer.poll(0)
    producer.flush()


def _response(now: int, interval: str) -> str:
    """Return a response of Binance."""
    width = CANDLE_SECONDS[interval]
    first = now // width - LENGTHS[interval] + 1
    prices = ("85439.99000000", "85450.01000000", "85430.00000000", "85440.10000000")
    return json.dumps(
        [
            [
                *(at * width * 1000, *prices, "20.12345678", (at + 1) * width * 1000 - 1),
                *("1719234.12345678", 308, "10.00000000", "854399.00000000", "0"),
            ]
            for at in range(first, first + LENGTHS[interval])
        ],
        separators=(",", ":"),
    )
