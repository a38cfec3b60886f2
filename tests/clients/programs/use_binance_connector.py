"""Use binance-connector against the exchange at an address, and print what it receives as JSON lines."""

import json
import sys
from queue import Queue
from typing import Any

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
DEADLINE = 30


def report(what: str, value: object) -> None:
    print(json.dumps([what, value]), flush=True)


def rest(address: str) -> None:
    client = Spot(base_url=f"http://{address}", show_limit_usage=True)
    report("ping", client.ping()["data"])
    report("time", client.time()["data"])
    report("used weight", int(client.time()["limit_usage"]["x-mbx-used-weight-1m"]))
    report("one symbol", client.exchange_info(symbol="BTCUSDT")["data"]["symbols"])
    report("two symbols", client.exchange_info(symbols=SYMBOLS)["data"]["symbols"])
    report("day", client.ticker_24hr(symbol="BTCUSDT")["data"])
    report("mini day", client.ticker_24hr(symbols=SYMBOLS, type="MINI")["data"])
    report("book", client.book_ticker("BTCUSDT")["data"])
    try:
        client.ticker_price("NOSUCH")
    except ClientError as error:
        report("unknown symbol", [error.status_code, error.error_code, error.error_message])


class Stream:
    """A connection, raw or combined, and the messages that it received."""

    def __init__(self, address: str, *, is_combined: bool) -> None:
        self._received: Queue[Any] = Queue()
        self.client = SpotWebsocketStreamClient(
            stream_url=f"ws://{address}",
            on_message=lambda _, text: self._received.put(json.loads(text)),
            is_combined=is_combined,
            timeout=DEADLINE,
        )

    def data(self) -> Any:
        while is_answer(message := self._received.get(timeout=DEADLINE)):
            pass
        return message

    def answer(self) -> Any:
        while not is_answer(message := self._received.get(timeout=DEADLINE)):
            pass
        return message


def is_answer(message: Any) -> bool:
    return isinstance(message, dict) and ("result" in message or "error" in message)


def raw(address: str) -> None:
    stream = Stream(address, is_combined=False)
    stream.client.mini_ticker(id=1)
    report("subscribed", stream.answer())
    report("array", stream.data())
    stream.client.list_subscribe(id=2)
    report("subscriptions", stream.answer())
    stream.client.mini_ticker(id=3, action="UNSUBSCRIBE")
    report("unsubscribed", stream.answer())
    stream.client.trade("BTCUSDT", id=4)
    report("refused", stream.answer())
    stream.client.stop()


def combined(address: str) -> None:
    stream = Stream(address, is_combined=True)
    stream.client.mini_ticker(symbol="BTCUSDT", id=1)
    report("mini ticker", stream.data())
    stream.client.mini_ticker(symbol="BTCUSDT", id=2, action="UNSUBSCRIBE")
    stream.client.book_ticker(symbol="ETHUSDT", id=3)
    while (message := stream.data())["stream"] != "ethusdt@bookTicker":
        pass
    report("book ticker", message)
    stream.client.stop()


if __name__ == "__main__":
    rest(sys.argv[1])
    raw(sys.argv[1])
    combined(sys.argv[1])
