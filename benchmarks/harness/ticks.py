"""Generate Kafka messages of a random market quickly: an hour of ticks in a minute.

Symbols, fields and widths are as on the exchanges. Prices are random; sequence and time increase.
Each exchange has half of the ticks, in one message per partition and second, or in several if one would
be too large.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import count, cycle, islice
from random import Random
from typing import NamedTuple

from core.message import encode_message, partition_of, split_messages
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.replay.market.symbols import (
    BINANCE_SYMBOLS,
    Pair,
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)
from infra.services.kafka import RAW_TOPIC_PARTITIONS

TICKS_A_SECOND = 4000
SECOND = 1_000_000


class Ticks(NamedTuple):
    """A message that is not sent yet, and its number of ticks."""

    topic: str
    partition: int
    value: bytes
    ticks: int


def messages(
    seconds: int, until: int, rate: int = TICKS_A_SECOND, symbols: int | None = None
) -> Iterator[Ticks]:
    """Yield the messages of `seconds` seconds, `rate` ticks each, that end at `until` (microseconds).

    `symbols` is the number of symbols (default: all that the two exchanges really have).
    """
    random = Random(1)
    binance = cycle(_pairs(binance_trading(binance_listing(), BINANCE_SYMBOLS), symbols))
    kucoin = cycle(_pairs(kucoin_trading(kucoin_listing()), symbols))
    sequence = until
    for second in range(until - seconds * SECOND, until, SECOND):
        for topic, pairs, text in (
            (BINANCE.raw_topic, binance, mini_ticker),
            (KUCOIN.raw_topic, kucoin, ticker),
        ):
            parts: list[list[bytes]] = [[] for _ in range(RAW_TOPIC_PARTITIONS)]
            step = 2 * SECOND // rate
            for number, pair in enumerate(islice(pairs, rate // 2)):
                sequence += 1
                increments = 50_000 + int(1000 * random.random())
                item = text(pair, increments, sequence, second + number * step)
                parts[partition_of(pair.symbol, RAW_TOPIC_PARTITIONS)].append(item.encode())
            for partition, items in enumerate(parts):
                for part in split_messages(items):
                    yield Ticks(topic, partition, encode_message(part), len(part))


def _pairs(pairs: Sequence[Pair], symbols: int | None) -> Sequence[Pair]:
    """Return half of `symbols`: the exchange's symbols, and if needed more with a numeric prefix."""
    if symbols is None:
        return pairs
    more = (replace(pair, symbol=f"{turn}{pair.symbol}") for turn in count(1) for pair in pairs)
    return [*pairs, *islice(more, max(0, symbols // 2 - len(pairs)))][: symbols // 2]


def mini_ticker(pair: Pair, count: int, sequence: int, received_at: int) -> str:
    """Return an item of Binance whose price is `count` increments."""
    price = pair.price_increment * count
    return (
        f'{{"e":"24hrMiniTicker","E":{received_at // 1000 - 30},"s":"{pair.symbol}",'
        f'"c":"{price:.8f}","o":"{price:.8f}","h":"{price:.8f}","l":"{price:.8f}",'
        f'"v":"{count}.79019000","q":"{sequence}.25694750","received_at":{received_at}}}'
    )


def ticker(pair: Pair, count: int, sequence: int, received_at: int) -> str:
    """Return an item of KuCoin whose price is `count` increments, between bid and ask."""
    price = pair.price_increment * count
    spread: Decimal = pair.price_increment * 7
    return (
        f'{{"topic":"/market/ticker:all","type":"message","subject":"{pair.symbol}","data":{{'
        f'"bestAsk":"{price + spread:f}","bestAskSize":"{count}.2","bestBid":"{price - spread:f}",'
        f'"bestBidSize":"2160","price":"{price:f}","sequence":"{sequence}","size":"159.3256",'
        f'"time":{received_at // 1000 - 400}}},"received_at":{received_at}}}'
    )
