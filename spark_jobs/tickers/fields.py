"""Where each exchange keeps what a ticker says, and in which form.

{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.99000000","o":"87304.35000000",
 "h":"87728.27000000","l":"85300.01000000","v":"20230.79019000","q":"1754434346.25694750",
 "received_at":1743147448501233}

{"topic":"/market/ticker:all","type":"message","subject":"CRO-USDT","data":{"bestAsk":"0.10605",
 "bestAskSize":"2522.2","bestBid":"0.10596","bestBidSize":"2160","price":"0.10604",
 "sequence":"915875484","size":"159.3256","time":1743147198992},"received_at":1743147448501233}
"""

from collections.abc import Mapping
from typing import NamedTuple

from core.topics import BINANCE_RAW_DATA, KUCOIN_RAW_DATA
from spark_jobs.tickers import values
from spark_jobs.tickers.values import Read


class Field(NamedTuple):
    """`path` is one key, or two where the second is a key of an object at the first."""

    path: tuple[str, ...]
    read: Read

    @property
    def is_time(self) -> bool:
        """Whether exchanges write it as a JSON number; all else is text."""
        return self.read in (values.milliseconds, values.microseconds)


RECEIVED_AT = Field(("received_at",), values.microseconds)

FIELDS: Mapping[str, Mapping[str, Field]] = {
    BINANCE_RAW_DATA: {
        "symbol": Field(("s",), values.name),
        "price": Field(("c",), values.amount),
        "open_24h": Field(("o",), values.amount),
        "high_24h": Field(("h",), values.amount),
        "low_24h": Field(("l",), values.amount),
        "base_volume_24h": Field(("v",), values.amount),
        "quote_volume_24h": Field(("q",), values.amount),
        "event_time": Field(("E",), values.milliseconds),
        "sequence": Field(("E",), values.whole_number),
        "received_at": RECEIVED_AT,
    },
    KUCOIN_RAW_DATA: {
        "symbol": Field(("subject",), values.name),
        "price": Field(("data", "price"), values.amount),
        "bid": Field(("data", "bestBid"), values.amount),
        "bid_size": Field(("data", "bestBidSize"), values.amount),
        "ask": Field(("data", "bestAsk"), values.amount),
        "ask_size": Field(("data", "bestAskSize"), values.amount),
        "last_size": Field(("data", "size"), values.amount),
        "traded_at": Field(("data", "time"), values.milliseconds),
        # `time` is that of the last trade, up to 25 minutes old: no time of this ticker.
        "event_time": RECEIVED_AT,
        "sequence": Field(("data", "sequence"), values.whole_number),
        "received_at": RECEIVED_AT,
    },
}

REQUIRED = ("symbol", "event_time", "sequence", "received_at")
"""A ticker needs these and a price. Without a price it is none, and without these it is a dead letter."""

UNREADABLE = "unreadable"
"""The key of an item whose frame the extractor could not read."""
