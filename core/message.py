"""Encode the Kafka messages. A message of a raw topic is a JSON array of items.

An item is the exchange's own text of one ticker, unchanged, with one field of ours inserted before
its closing brace: `received_at`, microseconds since the epoch. Numbers keep their digits, and repeated
keys are kept. If the exchange has a field of that name, ours comes last and so takes precedence.

    [{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT",...,"received_at":1743147448501233}]
    [{"topic":"/market/ticker:all",...,"data":{...},"received_at":1743147199001873}]

A frame that could not be read is an item too, so no raw data is lost:

    [{"unreadable":"<the text>","received_at":1743147199001873}]

The header `endpoint` is the host that sent the frames; it distinguishes simulated prices from real
ones. The headers `journal` and `position` are the id of the extractor's journal, and the position in it
after the message's last item.

A message of `instruments` or `feed_events` is one JSON object; its times are in microseconds too. The topic
`instruments` is compacted, with keys such as `binance/BTCUSDT`. `seen_at` is when the other values were
first seen:

    {"exchange":"binance","symbol":"BTCUSDT","base":"BTC","quote":"USDT","status":"TRADING",
     "seen_at":1743147448467000}

The key of `feed_events` is the exchange. In an ongoing event `to` is null; a later message with the
same exchange, kind and `from` completes it:

    {"exchange":"binance","endpoint":"stream.binance.com","kind":"interruption",
     "reason":"silence: no ticker for 10 s","from":1743147448467000,"to":null,"frames":0}

A message of `exchange_candles` has the exchange's response to a request for candles, unchanged. `from` and
`to` are the requested span. If the exchange refused the request, the request failed too often, or Kafka
refused the response as too large, `reason` says why and `response` is null. The key is
`binance/BTCUSDT/1m`:

    {"exchange":"binance","symbol":"BTCUSDT","interval":"1m","from":1743147420000000,
     "to":1743147540000000,"received_at":1743147551000000,"reason":null,"response":[[1743147420000,...]]}
"""

import json
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

Item = dict[str, Any]

ENDPOINT_HEADER = "endpoint"
JOURNAL_HEADER = "journal"
POSITION_HEADER = "position"

MAX_MESSAGE_BYTES = 1_000_000
"""Maximum size of a message's value."""

FRAMING = 48_588
"""Bytes allowed for key, headers and Kafka's own framing. With MAX_MESSAGE_BYTES it makes the broker's
default limit of 1,048,588 bytes."""


def ticker_item(ticker: bytes, received_at: int) -> bytes:
    """Return the item of a JSON object: its text with `received_at`, microseconds since the epoch.

    An item is a line in the journal and in landing/, so line breaks between tokens become spaces.
    """
    text = ticker.strip().replace(b"\n", b" ").replace(b"\r", b" ")
    comma = b"" if text[1:-1].isspace() or len(text) == 2 else b","
    return b'%s%s"received_at":%d}' % (text[:-1], comma, received_at)


def unreadable_item(text: str, received_at: int) -> bytes:
    """Return the item of a frame that does not match the exchange's documentation."""
    return encode_item({"unreadable": text, "received_at": received_at})


def received_at_of(item: bytes) -> int:
    """Return an item's time of receipt, in microseconds since the epoch. Raise ValueError."""
    fields, _, at = item[:-1].rpartition(b":")
    if fields.endswith(b'"received_at"') and at.isdigit():
        return int(at)
    # A line with its line break, or an item of version 0.1.0, in which it is not last if the exchange had a
    # field of that name.
    match json.loads(item):
        case {"received_at": int(received_at)}:
            return received_at
    raise ValueError("an item without received_at")


def encode_item(item: Item) -> bytes:
    """Return compact UTF-8 JSON. Symbols such as 币安人生USDT are not escaped."""
    # Escape only a text with a lone surrogate, which JSON allows as an escape and UTF-8 does not.
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(item, separators=(",", ":")).encode()


def split_messages(items: Sequence[bytes], limit: int = MAX_MESSAGE_BYTES) -> list[Sequence[bytes]]:
    """Return the items in order, split into parts that make messages of up to `limit` bytes.

    There is usually one part. An item larger than `limit` becomes a separate part, so that Kafka
    refuses only that item.
    """
    parts: list[Sequence[bytes]] = []
    begin, size = 0, 1
    for index, encoded in enumerate(items):
        if index > begin and size + len(encoded) + 1 > limit:
            parts.append(items[begin:index])
            begin, size = index, 1
        size += len(encoded) + 1
    return [*parts, items[begin:]] if items else []


def encode_message(items: Sequence[bytes]) -> bytes:
    """Return the JSON array of encoded items."""
    return b"[" + b",".join(items) + b"]"


@lru_cache(maxsize=10_000)
def partition_of(symbol: str, partitions: int) -> int:
    """Return the partition of a symbol: always the same one, to keep the symbol's order."""
    return zlib.crc32(symbol.encode("utf-8", "surrogatepass")) % partitions


def instrument_key(exchange: str, symbol: str) -> bytes:
    """Return the key of an instrument, `binance/BTCUSDT`. Compaction keeps the last message per key."""
    return f"{exchange}/{symbol}".encode("utf-8", "surrogatepass")


def candles_message(fields: Item, response: str | None) -> bytes:
    """Return a message of `exchange_candles`: the fields, and the response's text, unchanged."""
    return b'%s,"response":%s}' % (encode_item(fields)[:-1], (response or "null").encode())


def candles_key(exchange: str, symbol: str, interval: str) -> bytes:
    return f"{exchange}/{symbol}/{interval}".encode("utf-8", "surrogatepass")


def message_key(exchange: str, partition: int) -> bytes:
    """Return the key of a raw message, `binance-0`. It is only for readers of the console consumer."""
    return f"{exchange}-{partition}".encode()
