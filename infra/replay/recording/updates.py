"""Publish recorded frames as updates: the data of each ticker is sent exactly as recorded."""

import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

from infra.replay.binance.frames import ALL_MINI_TICKERS, channel_of, symbol_of
from infra.replay.kucoin.frames import PREFIX, TOPIC
from infra.replay.recording.frames import RecordedFrame, RecordedItem
from infra.replay.streams import Update


class RecordedUpdate(Update):
    """`items` has the tickers of each symbol in the order in which they were received."""

    def __init__(self, frames: Sequence[RecordedFrame]) -> None:
        self._frames = frames

    @cached_property
    def items(self) -> Mapping[str, Sequence[RecordedItem]]:
        found: dict[str, list[RecordedItem]] = defaultdict(list)
        for frame in self._frames:
            for item in frame.items:
                if isinstance(symbol := self.symbol_in(item.ticker), str):
                    found[symbol].append(item)
        return found

    def symbols(self) -> Collection[str]:
        return self.items.keys()

    @staticmethod
    @abstractmethod
    def symbol_in(ticker: Mapping[str, Any]) -> object: ...


class RecordedBinance(RecordedUpdate):
    def serves(self, stream: str) -> bool:
        return stream in ALL_MINI_TICKERS or channel_of(stream) == "miniTicker"

    def messages(self, stream: str) -> Sequence[str]:
        if stream in ALL_MINI_TICKERS:
            return [frame.text for frame in self._frames]
        return [item.text for item in self.items.get(symbol_of(stream), ())]

    def fields(self, symbol: str) -> Mapping[str, Any] | None:
        items = self.items.get(symbol)
        return items[-1].ticker if items else None

    @staticmethod
    def symbol_in(ticker: Mapping[str, Any]) -> object:
        return ticker.get("s")


class RecordedKucoin(RecordedUpdate):
    def serves(self, stream: str) -> bool:
        return stream.startswith(PREFIX)

    def messages(self, stream: str) -> Sequence[str]:
        if stream == TOPIC:
            return [frame.text for frame in self._frames]
        symbol = stream.removeprefix(PREFIX)
        return [of_one_symbol(item.text, stream) for item in self.items.get(symbol, ())]

    def fields(self, symbol: str) -> Mapping[str, Any] | None:
        items = self.items.get(symbol)
        data = items[-1].ticker.get("data") if items else None
        return data if isinstance(data, dict) else None

    @staticmethod
    def symbol_in(ticker: Mapping[str, Any]) -> object:
        return ticker.get("subject")


def of_one_symbol(text: str, topic: str) -> str:
    """Return a ticker of `/market/ticker:all` as a message of its symbol's topic.

    Only the topic and the subject change; the data stays exactly as recorded.
    """
    for name, value in (("topic", topic), ("subject", "trade.ticker")):
        text = re.sub(rf'("{name}"\s*:\s*)"[^"]*"', rf'\g<1>"{value}"', text, count=1)
    return text
