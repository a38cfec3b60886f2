"""Run Quix Streams with its PostgreSQL sink: no candles, and the last ticker read counts as the newest.

quix.py upsert    the last ticker of each symbol
quix.py append    every ticker, as the sink does without a key

The sink writes every 5 s (the default). With a key, it first reduces its buffer to the last row of each
key and partition, so few rows of a backlog reach Postgres.
"""

import os
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from quixstreams import Application
from quixstreams.sinks.base import SinkBatch
from quixstreams.sinks.community.postgresql import PostgreSQLSink

Ticker = dict[str, Any]

WAYS: dict[str, dict[str, Any]] = {
    "upsert": {
        "primary_key_columns": "key",
        "upsert_on_primary_key": True,
        "include_metadata": False,
    },
    "append": {},
}


class CountingSink(PostgreSQLSink):
    """Prints the number of committed ticks."""

    ticks = 0

    def write(self, batch: SinkBatch) -> None:
        super().write(batch)
        self.ticks += batch.size

    def flush(self) -> None:
        """Flush all partitions of a checkpoint, which are written one by one, and print the progress."""
        super().flush()
        print(self.ticks, time.time(), flush=True)


def binance(items: list[Ticker]) -> Iterator[Ticker]:
    for item in items:
        yield {
            "key": f"binance {item['s']}",
            "price": item["c"],
            "open_24h": item["o"],
            "high_24h": item["h"],
            "low_24h": item["l"],
            "base_volume_24h": item["v"],
            "quote_volume_24h": item["q"],
            "event_time": item["E"],
            "received_at": item["received_at"],
        }


def kucoin(items: list[Ticker]) -> Iterator[Ticker]:
    for item in items:
        data = item["data"]
        yield {
            "key": f"kucoin {item['subject']}",
            "price": data["price"],
            "bid": data["bestBid"],
            "bid_size": data["bestBidSize"],
            "ask": data["bestAsk"],
            "ask_size": data["bestAskSize"],
            "last_size": data["size"],
            "sequence": data["sequence"],
            "received_at": item["received_at"],
        }


def main() -> None:
    way = sys.argv[1]
    database = urlsplit(os.environ["DATABASE_URL"])
    application = Application(
        broker_address=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        # A new group in each round: an old one would continue after the offsets it committed.
        consumer_group=f"quix-{way}-{time.time_ns()}",
        auto_offset_reset="earliest",
        # It stays empty, because nothing here has state.
        state_dir=".stack/quix",
    )
    sink = CountingSink(
        host=database.hostname or "",
        port=database.port or 0,
        dbname=database.path.removeprefix("/"),
        user=database.username or "",
        password=database.password or "",
        table_name="quix",
        **WAYS[way],
    )
    for name, tickers in (("binance_raw_data", binance), ("kucoin_raw_data", kucoin)):
        topic = application.topic(name, value_deserializer="json", key_deserializer="str")
        application.dataframe(topic).apply(tickers, expand=True).sink(sink)
    application.run()


if __name__ == "__main__":
    main()
