"""The Kafka messages. Those of the raw topics are JSON arrays of items.

An item is the exchange's own object for one ticker, untouched, with one field of ours added at its
top level: `received_at`, microseconds since the epoch.

    [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...,"received_at":1743147448501233}]
    [{"topic":"/market/ticker:all",...,"data":{...},"received_at":1743147199001873}]

A frame that could not be read travels the same way, so that raw stays raw:

    [{"unreadable":"<the text>","received_at":1743147199001873}]

The header `endpoint` holds the host that the frames came from, so that a simulated price can be
told from a real one. `journal` and `position` say how far the extractor's journal, of that id, has
come into this partition: the position after the message's last item.

The two small topics have one JSON object in each message, times in microseconds as well.
`instruments` is compacted, its key is `binance/BTCUSDT`, and `seen_at` is when the rest was first
seen to be so:

    {"exchange":"binance","symbol":"BTCUSDT","base":"BTC","quote":"USDT","status":"TRADING",
     "seen_at":1743147448467000}

`feed_events` has the exchange as its key. What is still going on has no `to`; a later message with
the same exchange, kind and `from` completes it:

    {"exchange":"binance","endpoint":"stream.binance.com","kind":"interruption",
     "reason":"silence: no ticker for 10 s","from":1743147448467000,"to":null,"frames":0}
"""

import json
import zlib
from collections.abc import Sequence
from typing import Any

Item = dict[str, Any]

ENDPOINT_HEADER = "endpoint"
JOURNAL_HEADER = "journal"
POSITION_HEADER = "position"

# Kafka refuses more than 1,048,588 bytes by default; the rest is room for key, headers and framing.
MAX_MESSAGE_BYTES = 1_000_000


def ticker_item(ticker: Item, received_at: int) -> Item:
    """The exchange's object with `received_at` (microseconds since the epoch) beside its fields."""
    return {**ticker, "received_at": received_at}


def unreadable_item(text: str, received_at: int) -> Item:
    """A frame that is not what the exchange's documents promise, kept as its text."""
    return {"unreadable": text, "received_at": received_at}


def encode_item(item: Item) -> bytes:
    """UTF-8 JSON without blanks. Symbols stay as they are written: 币安人生USDT, not \\u escapes."""
    # A lone surrogate is legal in JSON's escapes but not in UTF-8; only then are escapes kept.
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(item, separators=(",", ":")).encode()


def split_messages(items: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Encoded items in their order, cut so that each part makes a message of MAX_MESSAGE_BYTES.

    Usually one part. An item that is larger by itself becomes a part alone, for the broker to refuse
    by name.
    """
    parts: list[Sequence[bytes]] = []
    begin, size = 0, 1
    for index, encoded in enumerate(items):
        if index > begin and size + len(encoded) + 1 > MAX_MESSAGE_BYTES:
            parts.append(items[begin:index])
            begin, size = index, 1
        size += len(encoded) + 1
    return [*parts, items[begin:]] if items else []


def encode_message(items: Sequence[bytes]) -> bytes:
    """The JSON array of encoded items."""
    return b"[" + b",".join(items) + b"]"


def partition_of(symbol: str, partitions: int) -> int:
    """The partition that a symbol always goes to, so that its order holds."""
    return zlib.crc32(symbol.encode("utf-8", "surrogatepass")) % partitions


def instrument_key(exchange: str, symbol: str) -> bytes:
    """`binance/BTCUSDT`: compaction keeps the last message of each."""
    return f"{exchange}/{symbol}".encode("utf-8", "surrogatepass")


def message_key(exchange: str, partition: int) -> bytes:
    """`binance-0`: for whoever reads with the console consumer."""
    return f"{exchange}-{partition}".encode()
