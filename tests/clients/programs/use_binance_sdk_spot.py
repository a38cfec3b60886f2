"""Use binance-sdk-spot against the exchange at an address, and print what it receives as JSON lines."""

import asyncio
import json
import sys
from typing import Any

from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import Error
from binance_sdk_spot.spot import Spot

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
DEADLINE = 30


def report(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


def plain(model: Any) -> Any:
    """Return a model of the library in the form of the exchange's JSON."""
    return json.loads(getattr(model, "actual_instance", model).model_dump_json(by_alias=True))


def rest(api: Any) -> None:
    report("ping", api.ping().status)
    report("time", plain(api.time().data()))
    symbols = plain(api.exchange_info(symbols=SYMBOLS).data())["symbols"]
    report("symbols", [[each["symbol"], each["baseAsset"], each["status"]] for each in symbols])
    answer = api.ticker24hr(symbol="BTCUSDT")
    report("day", plain(answer.data()))
    report("rate limits", [[each.rateLimitType, each.interval] for each in answer.rate_limits])
    report("price", plain(api.ticker_price(symbol="ETHUSDT").data()))
    try:
        api.ticker24hr(symbol="NOSUCH")
    except Error as error:
        report("unknown symbol", [type(error).__name__, str(error)])


async def streams(client: Any) -> None:
    """Subscribe to streams of single symbols and of all symbols, and report the tickers."""
    await client.create_connection()
    received: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
    one = await client.mini_ticker(symbol="btcusdt")
    one.on("message", lambda ticker: received.put_nowait(("mini ticker", ticker)))
    book = await client.book_ticker(symbol="ethusdt")
    book.on("message", lambda ticker: received.put_nowait(("book ticker", ticker)))
    every = await client.all_mini_ticker()
    every.on("message", lambda tickers: received.put_nowait(("array", tickers)))
    missing = {"mini ticker", "book ticker", "array"}
    async with asyncio.timeout(DEADLINE):
        while missing:
            what, ticker = await received.get()
            missing.discard(what)
            report(what, [plain(each) for each in ticker] if what == "array" else plain(ticker))
    report("subscriptions", await client.list_subscribe())
    await every.unsubscribe()
    report("fewer subscriptions", await client.list_subscribe())
    await client.close_connection()


if __name__ == "__main__":
    address = sys.argv[1]
    spot = Spot(
        config_rest_api=ConfigurationRestAPI(base_path=f"http://{address}"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=f"ws://{address}"),
    )
    rest(spot.rest_api)
    asyncio.run(streams(spot.websocket_streams))
