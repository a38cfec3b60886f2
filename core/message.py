"""The Kafka messages. Those of the raw topics are JSON arrays of items.

An item is the exchange's own text of one ticker, to the letter, with one field of ours spliced in
before its closing brace: `received_at`, microseconds since the epoch. Numbers keep their digits and
repeated keys stay; where the exchange has a field of that name, ours is the last and overrules it.

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
from functools import lru_cache
from typing import Any

Item = dict[str, Any]

ENDPOINT_HEADER = "endpoint"
JOURNAL_HEADER = "journal"
POSITION_HEADER = "position"

# Kafka refuses more than 1,048,588 bytes by default; the rest is room for key, headers and framing.
MAX_MESSAGE_BYTES = 1_000_000


def ticker_item(ticker: bytes, received_at: int) -> bytes:
    """Return the item of a JSON object: its text with `received_at`, microseconds since the epoch.

    An item is a line in the journal and in landing/, so line breaks between tokens become blanks.
    """
    text = ticker.strip().replace(b"\n", b" ").replace(b"\r", b" ")
    comma = b"" if text[1:-1].isspace() or len(text) == 2 else b","
    return b'%s%s"received_at":%d}' % (text[:-1], comma, received_at)


def unreadable_item(text: str, received_at: int) -> bytes:
    """Return the item of a frame that is not what the exchange's documents promise."""
    return encode_item({"unreadable": text, "received_at": received_at})


def received_at_of(item: bytes) -> int:
    """Return when an item was received. Raise ValueError for a text that is no item."""
    fields, _, at = item[:-1].rpartition(b":")
    if fields.endswith(b'"received_at"') and at.isdigit():
        return int(at)
    # Items of version 0.1.0 have it elsewhere if the exchange had a field of that name.
    match json.loads(item):
        case {"received_at": int(received_at)}:
            return received_at
    raise ValueError("an item without received_at")


def encode_item(item: Item) -> bytes:
    """UTF-8 JSON without blanks. Symbols stay as they are written: 币安人生USDT, not \\u escapes."""
    # A lone surrogate is legal in JSON's escapes but not in UTF-8; only then are escapes kept.
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(item, separators=(",", ":")).encode()


def split_messages(items: Sequence[bytes], limit: int = MAX_MESSAGE_BYTES) -> list[Sequence[bytes]]:
    """Return the items in their order, cut so that each part makes a message of up to `limit` bytes.

    Usually one part. An item that is larger by itself becomes a part alone, for the broker to refuse
    by name.
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
    """The JSON array of encoded items."""
    return b"[" + b",".join(items) + b"]"


@lru_cache(maxsize=10_000)
def partition_of(symbol: str, partitions: int) -> int:
    """The partition that a symbol always goes to, so that its order holds."""
    return zlib.crc32(symbol.encode("utf-8", "surrogatepass")) % partitions


def instrument_key(exchange: str, symbol: str) -> bytes:
    """`binance/BTCUSDT`: compaction keeps the last message of each."""
    return f"{exchange}/{symbol}".encode("utf-8", "surrogatepass")


def message_key(exchange: str, partition: int) -> bytes:
    """`binance-0`: for whoever reads with the console consumer."""
    return f"{exchange}-{partition}".encode()
