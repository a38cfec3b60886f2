"""Use cryptofeed against both exchanges at an address, and print what it receives as JSON lines."""

import asyncio
import json
import sys
from typing import Any
from urllib.parse import quote

import cryptofeed.connection
from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import TICKER
from cryptofeed.exchanges import Binance, KuCoin

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
DEADLINE = 30


def report(what: str, value: object) -> None:
    print(json.dumps([what, value], default=str), flush=True)


def move(address: str) -> None:
    """Redirect both exchanges to an address without TLS.

    cryptofeed refuses ws:// addresses, so configure wss:// and open ws:// instead.
    """
    rest = f"http://{address}"
    Binance.rest_endpoints = [RestEndpoint(rest, routes=Routes("/api/v3/exchangeInfo"))]
    Binance.websocket_endpoints = [WebsocketEndpoint(f"wss://{address}")]
    KuCoin.rest_endpoints = [RestEndpoint(rest, routes=Routes("/api/v1/symbols"))]
    connect, write = cryptofeed.connection.connect, KuCoin.http_sync.write

    def connect_here(url: str, **options: Any) -> Any:
        return connect(url.replace("wss://", "ws://"), **options)

    def write_here(url: str, **options: Any) -> Any:
        """Request the token at this address: KuCoin's host is hard-coded in the library."""
        answer = write(url.replace("https://api.kucoin.com", rest), **options)
        server = answer["data"]["instanceServers"][0]
        server["endpoint"] = server["endpoint"].replace("ws://", "wss://")
        # The library does not escape the token, so a plus sign would arrive as a space.
        answer["data"]["token"] = quote(answer["data"]["token"], safe="")
        return answer

    cryptofeed.connection.connect = connect_here
    KuCoin.http_sync.write = write_here


def main(address: str) -> None:
    move(address)
    handler = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
    missing = {(name, symbol) for name in ("BINANCE", "KUCOIN") for symbol in SYMBOLS}

    async def ticker(ticker: Any, received_at: float) -> None:
        report(ticker.exchange, [ticker.symbol, ticker.bid, ticker.ask, ticker.raw])
        missing.discard((ticker.exchange, ticker.symbol))
        if not missing:
            asyncio.get_running_loop().stop()

    for exchange in (Binance, KuCoin):
        report(f"{exchange.id} symbols", len(exchange.symbols()))
        handler.add_feed(exchange(symbols=SYMBOLS, channels=[TICKER], callbacks={TICKER: ticker}))
    loop = asyncio.get_event_loop()
    loop.call_later(DEADLINE, loop.stop)
    handler.run()
    report("missing", sorted(missing))


if __name__ == "__main__":
    main(sys.argv[1])
