"""Run the replay exchange and record when it sent each ticker.

python -m benchmarks.extractors.batch_seconds_exchange PORT: run until its input ends, then print one line of
JSON: by exchange and ticker (`identity`), the times of its sends in seconds since the epoch, ascending.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import orjson

from infra.replay.connection import Connection
from infra.replay.server import Simulation, serving

Sends = dict[str, dict[str, list[float]]]


def identity(item: dict[str, Any]) -> str:
    """Return the identity of a ticker: its symbol, and its sequence (KuCoin) or event time (Binance)."""
    if "subject" in item:
        return f"{item['subject']} {item['data']['sequence']}"
    return f"{item['s']} {item['E']}"


class Observer:
    """Records sent texts. They are parsed only at the end, so as not to slow the exchange down."""

    def __init__(self) -> None:
        self._sent: list[tuple[float, str, Sequence[str]]] = []

    def opened(self, connection: Connection) -> None:
        """Do nothing: no data was sent yet."""

    def sending(self, connection: Connection, texts: Sequence[str]) -> None:
        self._sent.append((time.time(), connection.exchange, texts))

    def ended(self, connection: Connection) -> None:
        """Do nothing: all sends are recorded already."""

    def sends(self) -> Sends:
        found: Sends = {name: defaultdict(list) for name in ("binance", "kucoin")}
        for at, exchange, texts in self._sent:
            for text in texts:
                frame = orjson.loads(text)
                for item in frame if isinstance(frame, list) else [frame]:
                    found[exchange][identity(item)].append(at)
        return found


async def run(port: int) -> Sends:
    observer = Observer()
    async with serving(*Simulation().exchanges(observer), "127.0.0.1", port):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return observer.sends()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1])))))
