"""Use python-binance against the exchange at an address, and print what it receives as JSON lines."""

import asyncio
import json
import sys
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from binance.exceptions import BinanceAPIException

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
DEADLINE = 30


def report(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


async def rest(client: AsyncClient) -> None:
    report("ping", await client.ping())
    report("time", await client.get_server_time())
    report("symbol", await client.get_symbol_info("BTCUSDT"))
    report("day", await client.get_ticker(symbol="BTCUSDT"))
    report("all days", await client.get_ticker())
    report("price", await client.get_symbol_ticker(symbol="ETHUSDT"))
    report("book", await client.get_orderbook_ticker(symbol="ETHUSDT"))
    try:
        await client.get_ticker(symbol="NOSUCH")
    except BinanceAPIException as error:
        report("unknown symbol", [error.status_code, error.code, error.message])


async def first(socket: Any) -> object:
    async with socket as connected, asyncio.timeout(DEADLINE):
        return await connected.recv()


async def streams(client: AsyncClient) -> None:
    manager = BinanceSocketManager(client)
    report("array", await first(manager.miniticker_socket()))
    report("mini ticker", await first(manager.symbol_miniticker_socket("BTCUSDT")))
    report("book ticker", await first(manager.symbol_book_ticker_socket("BTCUSDT")))
    names = [f"{symbol.lower()}@miniTicker" for symbol in SYMBOLS]
    async with manager.multiplex_socket(names) as socket, asyncio.timeout(DEADLINE):
        missing = set(names)
        while missing:
            message = await socket.recv()
            missing.discard(message["stream"])
            report("combined", message)


async def main(address: str) -> None:
    AsyncClient.API_URL = f"http://{address}/api"
    BinanceSocketManager.STREAM_URL = f"ws://{address}/"
    client = await AsyncClient.create()
    try:
        await rest(client)
        await streams(client)
    finally:
        await client.close_connection()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
