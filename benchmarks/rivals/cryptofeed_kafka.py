"""Run cryptofeed with its Kafka backend: KuCoin's tickers, one message each.

cryptofeed_kafka.py ADDRESS TOPIC: run until it is stopped. It subscribes to up to 300 single symbols,
and keeps symbol, bid, ask and the time of receipt; the price is lost. Its writer waits for Kafka's
answer to each message before it sends the next.
"""

import asyncio
import os
import sys
from typing import Any

import cryptofeed.connection
import uvloop
from cryptofeed import FeedHandler
from cryptofeed.backends.kafka import TickerKafka
from cryptofeed.connection import RestEndpoint, Routes
from cryptofeed.defines import TICKER
from cryptofeed.exchanges import KuCoin

MAX_SYMBOLS = 300


class OneTopic(TickerKafka):
    """Writes all symbols to one topic, instead of the default of one topic per symbol."""

    def __init__(self, topic: str, **options: Any) -> None:
        super().__init__(**options)
        self._topic = topic

    def topic(self, data: dict[str, Any]) -> str:
        return self._topic


def move(address: str) -> None:
    """Redirect KuCoin to an address without TLS. cryptofeed accepts only wss:// URLs."""
    KuCoin.rest_endpoints = [RestEndpoint(f"http://{address}", routes=Routes("/api/v1/symbols"))]
    connect, write = cryptofeed.connection.connect, KuCoin.http_sync.write

    def connect_here(url: str, **options: Any) -> Any:
        return connect(url.replace("wss://", "ws://"), **options)

    def write_here(url: str, **options: Any) -> Any:
        """Request the token from `address`: KuCoin's host is hard-coded in the library."""
        answer = write(url.replace("https://api.kucoin.com", f"http://{address}"), **options)
        server = answer["data"]["instanceServers"][0]
        server["endpoint"] = server["endpoint"].replace("ws://", "wss://")
        return answer

    cryptofeed.connection.connect = connect_here
    KuCoin.http_sync.write = write_here


def main() -> None:
    address, topic = sys.argv[1:]
    move(address)
    # cryptofeed's option for uvloop fails: uvloop no longer creates a loop if none is set.
    asyncio.set_event_loop(uvloop.new_event_loop())
    handler = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
    backend = OneTopic(topic, bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    symbols = KuCoin.symbols()[:MAX_SYMBOLS]
    feed = KuCoin(symbols=symbols, channels=[TICKER], callbacks={TICKER: backend})
    handler.add_feed(feed)
    handler.run()


if __name__ == "__main__":
    main()
