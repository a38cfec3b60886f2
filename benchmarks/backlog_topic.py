"""Fills the raw topics, as the extractors do but all at once."""

import time

from confluent_kafka import Producer

from benchmarks.ticks import TICKS_A_SECOND, messages
from core.message import ENDPOINT_HEADER, message_key
from core.topics import EXCHANGE_OF_TOPIC
from extractors.producer import CONFIGURATION


def fill(bootstrap_servers: str, ticks: int) -> int:
    """At least so many ticks, the newest a second old. Returns how many it were."""
    producer = Producer({**CONFIGURATION, "bootstrap.servers": bootstrap_servers})
    sent = 0
    for message in messages(-(-ticks // TICKS_A_SECOND), time.time_ns() // 1000):
        key = message_key(EXCHANGE_OF_TOPIC[message.topic], message.partition)
        while True:
            try:
                producer.produce(
                    message.topic,
                    message.value,
                    key,
                    message.partition,
                    headers=[(ENDPOINT_HEADER, "127.0.0.1")],
                )
                break
            except BufferError:
                producer.poll(1)
        producer.poll(0)
        sent += message.ticks
    producer.flush()
    return sent
