"""Build KuCoin's frames in advance as bytes, so that the generator needs little CPU.

Symbols, fields and widths are as on KuCoin; prices are a random walk. Frame number i has the time
FIRST_TIME + i, which identifies it wherever it arrives. Symbols are in random order and equally
frequent.
"""

import re
import struct
from array import array
from collections.abc import Sequence
from random import Random

from infra.replay.market.symbols import Pair, kucoin_listing, kucoin_trading

FIRST_TIME = 1_743_147_000_000
"""Milliseconds since the epoch."""

FIRST_SEQUENCE = 15_000_000_000

TIME = re.compile(rb'"time":(\d{13})')

SYMBOLS_OF_CRYPTOFEED = 300
"""Maximum of cryptofeed's symbols on one connection."""


class Frames:
    """Consecutive frames in one buffer, as a server sends them: unmasked text, not compressed."""

    def __init__(self, texts: Sequence[str]) -> None:
        frames = [_frame(text.encode()) for text in texts]
        self._bytes = memoryview(b"".join(frames))
        self._starts = array("q", [0])
        end = 0
        for frame in frames:
            end += len(frame)
            self._starts.append(end)

    def part(self, first: int, end: int) -> memoryview:
        """Return the bytes of the frames `first` to `end` - 1."""
        return self._bytes[self._starts[first] : self._starts[end]]


def of_all_symbols(count: int) -> Frames:
    """Return frames of the topic `/market/ticker:all`."""
    return Frames(_texts(kucoin_trading(kucoin_listing()), count, of_all=True))


def of_single_symbols(count: int) -> Frames:
    """Return frames of the topic `/market/ticker:<symbol>,<symbol>,…`."""
    return Frames(_texts(symbols_of_cryptofeed(), count, of_all=False))


def symbols_of_cryptofeed() -> list[Pair]:
    """Return the busiest pairs that cryptofeed can subscribe to: it omits those that do not trade."""
    listing = [each for each in kucoin_listing() if each["enableTrading"]]
    return kucoin_trading(listing)[:SYMBOLS_OF_CRYPTOFEED]


def numbers_in(message: bytes) -> list[int]:
    """Return the numbers of the frames whose items are in a Kafka message, in order."""
    return [int(time) - FIRST_TIME for time in TIME.findall(message)]


def _texts(pairs: Sequence[Pair], count: int, *, of_all: bool) -> list[str]:
    random = Random(1)
    counts = [random.randint(20_000, 90_000) for _ in pairs]
    steps = [float(pair.price_increment) for pair in pairs]
    digits = [max(0, -int(pair.price_increment.normalize().as_tuple().exponent)) for pair in pairs]
    heads = [_head(pair.symbol, of_all=of_all) for pair in pairs]
    texts: list[str] = []
    for number, index in enumerate(random.choices(range(len(pairs)), k=count)):
        change = number * 7_919 % 101
        counts[index] += change - 50
        step, width = steps[index], digits[index]
        bid = counts[index] * step
        texts.append(
            f'{heads[index]}"bestAsk":"{bid + 7 * step:.{width}f}","bestAskSize":"3{change}.2",'
            f'"bestBid":"{bid:.{width}f}","bestBidSize":"2{change}0",'
            f'"price":"{bid + 3 * step:.{width}f}","sequence":"{FIRST_SEQUENCE + number}",'
            f'"size":"1{change}.3256","time":{FIRST_TIME + number}}}}}'
        )
    return texts


def _head(symbol: str, *, of_all: bool) -> str:
    topic, subject = ("all", symbol) if of_all else (symbol, "trade.ticker")
    return f'{{"topic":"/market/ticker:{topic}","type":"message","subject":"{subject}","data":{{'


def _frame(text: bytes) -> bytes:
    """Return a WebSocket frame (RFC 6455: FIN, text). Every ticker has 126 to 65,535 bytes."""
    return struct.pack("!BBH", 0x81, 126, len(text)) + text
