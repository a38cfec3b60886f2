"""Use ccxt.pro against both exchanges at an address, and print what it receives as JSON lines."""

import asyncio
import json
import sys
from typing import Any

import ccxt.pro
from ccxt.base.errors import BadRequest, BadSymbol, ExchangeError

SYMBOLS = ["BTC/USDT", "ETH/USDT"]
DEADLINE = 30
# Without these, watch_ticker uses streams that the exchange does not have.
ONE_SYMBOL = {"binance": {"name": "miniTicker"}, "kucoin": {"spotMethod": "/market/ticker"}}


def report(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


def moved(urls: Any, address: str) -> Any:
    """Return the addresses of an exchange with another host and the same paths."""
    if isinstance(urls, dict):
        return {name: moved(each, address) for name, each in urls.items()}
    if not isinstance(urls, str) or "://" not in urls:
        return urls
    scheme, _, rest = urls.partition("://")
    _, slash, path = rest.partition("/")
    return f"{'ws' if scheme == 'wss' else 'http'}://{address}{slash}{path}"


def exchange_at(address: str, name: str) -> Any:
    exchange = getattr(ccxt.pro, name)({"newUpdates": True})
    exchange.urls["api"] = moved(exchange.urls["api"], address)
    exchange.options["fetchMarkets"] = {"types": ["spot"], "fetchTickersFees": True}
    return exchange


def essence(ticker: Any) -> dict[str, Any]:
    """Return the parts of a ticker that tests compare, including the exchange's original message."""
    return {name: ticker[name] for name in ("symbol", "last", "bid", "ask", "info")}


async def common(exchange: Any) -> None:
    """Use the requests and streams that both exchanges have."""
    name = exchange.id
    await exchange.load_markets()
    market = exchange.market("BTC/USDT")
    report(f"{name} market", {key: market[key] for key in ("id", "active", "precision")})
    report(f"{name} time", await exchange.fetch_time())
    report(f"{name} fetched", essence(await exchange.fetch_ticker("BTC/USDT")))
    tickers = await exchange.fetch_tickers()
    report(f"{name} all fetched", {symbol: each["last"] for symbol, each in tickers.items()})
    async with asyncio.timeout(DEADLINE):
        for ticker in (await exchange.watch_tickers()).values():
            report(f"{name} watched", essence(ticker))
        # Open a new connection, so that only the topics of single symbols carry tickers.
        await exchange.close()
        missing = set(SYMBOLS)
        while missing:
            for ticker in (await exchange.watch_tickers(SYMBOLS)).values():
                missing.discard(ticker["symbol"])
                report(f"{name} watched by symbol", essence(ticker))
        ticker = await exchange.watch_ticker("BTC/USDT", ONE_SYMBOL[name])
        report(f"{name} watched alone", essence(ticker))


async def binance(exchange: Any) -> None:
    await common(exchange)
    async with asyncio.timeout(DEADLINE):
        books = await exchange.watch_bids_asks(SYMBOLS)
    report("binance book", [essence(book) for book in books.values()])
    try:
        await exchange.publicGetTicker24hr({"symbol": "NOSUCH"})
    except BadSymbol as error:
        report("binance unknown symbol", str(error))


async def kucoin(exchange: Any) -> None:
    await common(exchange)
    report("kucoin currencies", sorted(await exchange.fetch_currencies()))
    try:
        await exchange.publicGetMarketOrderbookLevel1({"symbol": "NO-SUCH"})
    except ExchangeError as error:
        report("kucoin unknown symbol", str(error))
    try:
        await exchange.publicGetMarketOrderbookLevel1()
    except BadRequest as error:
        report("kucoin no symbol", str(error))


async def main(address: str) -> None:
    for name, use in (("binance", binance), ("kucoin", kucoin)):
        exchange = exchange_at(address, name)
        try:
            await use(exchange)
        finally:
            await exchange.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
