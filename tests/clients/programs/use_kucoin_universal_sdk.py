"""Use kucoin-universal-sdk against the exchange at an address; print what it receives as JSON lines."""

import json
import sys
from queue import Queue
from typing import Any

from kucoin_universal_sdk.api import DefaultClient
from kucoin_universal_sdk.generate.spot.market import GetSymbolReqBuilder, GetTickerReqBuilder
from kucoin_universal_sdk.model import (
    ClientOptionBuilder,
    TransportOptionBuilder,
    WebSocketClientOptionBuilder,
)
from kucoin_universal_sdk.model.common import RestError

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
DEADLINE = 30


def report(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


def plain(model: Any) -> Any:
    """Return a model of the library in the form of the exchange's JSON."""
    return json.loads(model.to_json())


def rest(market: Any) -> None:
    report("time", market.get_server_time().data)
    report("status", plain(market.get_service_status()))
    report("symbol", plain(market.get_symbol(GetSymbolReqBuilder().set_symbol("BTC-USDT").build())))
    report("currencies", [each.currency for each in market.get_all_currencies().data])
    ticker = market.get_ticker(GetTickerReqBuilder().set_symbol("BTC-USDT").build())
    report("ticker", plain(ticker))
    limit = ticker.common_response.rate_limit
    report("rate limit", [limit.limit, limit.remaining, limit.reset])
    report("all tickers", [plain(each) for each in market.get_all_tickers().ticker])
    try:
        market.get_ticker(GetTickerReqBuilder().set_symbol("NO-SUCH").build())
    except RestError as error:
        report("unknown symbol", error.response.code)


def streams(socket: Any) -> None:
    received: Queue[tuple[str, str, str, Any]] = Queue()

    def put(topic: str, subject: str, data: Any) -> None:
        received.put(("all", topic, subject, data))

    def put_one(topic: str, subject: str, data: Any) -> None:
        received.put(("one", topic, subject, data))

    socket.start()
    every = socket.all_tickers(put)
    what, topic, subject, data = received.get(timeout=DEADLINE)
    report(what, [topic, subject, plain(data)])
    socket.unsubscribe(every)
    socket.ticker(SYMBOLS, put_one)
    missing = {f"/market/ticker:{symbol}" for symbol in SYMBOLS}
    while missing:
        what, topic, subject, data = received.get(timeout=DEADLINE)
        if what == "one":
            missing.discard(topic)
            report(what, [topic, subject, plain(data)])
    try:
        socket.ticker(["NO-SUCH"], put_one)
    except Exception as error:
        # The library raises the exchange's message, a str, so Python raises TypeError.
        report("refused", [type(error).__name__, str(error)])
    socket.stop()


def main(address: str) -> None:
    options = (
        ClientOptionBuilder()
        .set_key("")
        .set_secret("")
        .set_passphrase("")
        .set_spot_endpoint(f"http://{address}")
        .set_transport_option(TransportOptionBuilder().build())
        .set_websocket_client_option(WebSocketClientOptionBuilder().build())
        .build()
    )
    client = DefaultClient(options)
    rest(client.rest_service().get_spot_service().get_market_api())
    streams(client.ws_service().new_spot_public_ws())


if __name__ == "__main__":
    main(sys.argv[1])
