"""Write landing archives for tests, as the extractors do."""

import gzip
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from websockets.sync.client import ClientConnection

from tests.support.waiting import DEADLINE

START = 1_795_373_100_000_000  # 2026-11-22 18:45:00 UTC
JOURNAL = "3f9c1a2b00c4d5e6"


def binance_text(number: int) -> str:
    return f'{{"e":"24hrMiniTicker","E":{number},"s":"币安人生USDT","c":"{number}.10000000"}}'


def kucoin_text(number: int) -> str:
    return f'{{"type":"message","subject":"A-B","data":{{"sequence":"{number}","x":1.10}}}}'


def line(text: str, received_at: int) -> str:
    return f'{text[:-1]},"received_at":{received_at}}}'


def landing_object(exchange: str, first: int, lines: Sequence[str]) -> tuple[str, bytes]:
    """Return an object's name below the root and its content. `first` is the first line's position."""
    at = datetime.fromtimestamp(json.loads(lines[0])["received_at"] / 1e6, UTC)
    last = first + len(lines) - 1
    content = "".join(f"{each}\n" for each in lines)
    name = f"{at:%Y%m%dT%H%M%S.%fZ}-{JOURNAL}-{first:020}-{last:020}.jsonl.gz"
    return f"{exchange}/{at:%Y/%m/%d/%H}/{name}", gzip.compress(content.encode())


def write(root: Path, exchange: str, first: int, lines: Sequence[str]) -> Path:
    name, content = landing_object(exchange, first, lines)
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def received(client: ClientConnection, count: int) -> list[str]:
    return [client.recv(timeout=DEADLINE, decode=True) for _ in range(count)]
