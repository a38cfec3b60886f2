"""Upper bound for Python: only read the messages with confluent-kafka and parse them with orjson."""

import os
import time

import orjson
from confluent_kafka import Consumer

TOPICS = ["binance_raw_data", "kucoin_raw_data"]
MESSAGES = 400


def main() -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            # A new group in each round: an old one would continue after the offsets it committed.
            "group.id": f"bare-{time.time_ns()}",
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe(TOPICS)
    ticks = 0
    while True:
        messages = consumer.consume(MESSAGES, timeout=1)
        ticks += sum(len(orjson.loads(message.value() or b"[]")) for message in messages)
        print(ticks, time.time(), flush=True)


if __name__ == "__main__":
    main()
