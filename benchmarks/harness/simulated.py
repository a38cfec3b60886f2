"""Build messages as extractors would from the replay exchange's market, but without waiting."""

import time
from collections import defaultdict
from collections.abc import Iterator

from confluent_kafka import Producer

from core.message import (
    encode_item,
    encode_message,
    message_key,
    partition_of,
    split_messages,
    ticker_item,
)
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.replay.binance.frames import mini_ticker
from infra.replay.kucoin.frames import ticker
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.symbols import (
    BINANCE_SYMBOLS,
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)
from infra.services.kafka import RAW_TOPIC_PARTITIONS

FEWEST_A_SECOND = 2000
ENDPOINT = b"127.0.0.1:8090"

Message = tuple[str, bytes, int, bytes, int]
"""Topic, key, partition, value, number of ticks."""


def simulated_seconds(now: int) -> Iterator[list[Message]]:
    """Yield the messages of each second after `now` (milliseconds), endlessly: some 2,500 ticks of both
    exchanges, one message per partition.
    """
    pairs = {
        "binance": binance_trading(binance_listing(), BINANCE_SYMBOLS),
        "kucoin": kucoin_trading(kucoin_listing()),
    }
    coins = Coins([pair for each in pairs.values() for pair in each], seed=1)
    binance = Market(pairs["binance"], coins, seed=1, period=1.0, changed=0.4, traded=1, now=now)
    # Ten turns per second; each changes three in ten instruments.
    kucoin = Market(pairs["kucoin"], coins, seed=1, period=0.1, changed=0.3, traded=0.02, now=now)
    while True:
        now += 1000
        items: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for instrument in binance.turn(binance.instruments, now):
            partition = "binance", partition_of(instrument.pair.symbol, RAW_TOPIC_PARTITIONS)
            text = encode_item(mini_ticker(instrument))
            items[partition].append(ticker_item(text, now * 1000))
        for tenth in range(10):
            moment = now + 100 * tenth
            for instrument in kucoin.turn(kucoin.instruments, moment):
                partition = "kucoin", partition_of(instrument.pair.symbol, RAW_TOPIC_PARTITIONS)
                text = encode_item(ticker(instrument))
                items[partition].append(ticker_item(text, moment * 1000))
        yield [
            (
                TOPIC_OF_EXCHANGE[exchange],
                message_key(exchange, number),
                number,
                encode_message(part),
                len(part),
            )
            for (exchange, number), encoded in items.items()
            for part in split_messages(encoded)
        ]


def fill(settings: Settings, ticks: int) -> int:
    """Produce at least `ticks` ticks to the raw topics. Return how many were produced."""
    producer = Producer(
        {"bootstrap.servers": settings.kafka_bootstrap_servers, "compression.type": "zstd"}
    )
    produced = 0
    # Start in the past, so that no tick's time of receipt is ahead of the broker's clock.
    began = time.time_ns() // 1_000_000 - 1000 * ticks // FEWEST_A_SECOND
    for messages in simulated_seconds(began):
        for topic, key, partition, value, count in messages:
            headers: dict[str, str | bytes | None] = {
                "endpoint": ENDPOINT,
                "journal": b"benchmark",
                "position": b"0",
            }
            producer.produce(topic, value, key, partition, headers=headers)
            produced += count
        producer.poll(0)
        if produced >= ticks:
            break
    if producer.flush(60):
        raise RuntimeError("Kafka did not accept all messages within 60 s")
    return produced
