"""Collect the objects that an exchange sent, to look up those that a client received."""

import json
from typing import Any

from tests.support.ledger import Ledger


def items_sent(ledger: Ledger, exchange: str) -> set[str]:
    """Return each object that was sent: items of arrays, contents of envelopes."""
    return {
        canonical(item)
        for connection in ledger.connections(exchange)
        for frame in connection.frames
        for item in _items(json.loads(frame.text or ""))
    }


def _items(message: Any) -> list[Any]:
    content = message["data"] if "stream" in message else message
    return content if isinstance(content, list) else [content]


def canonical(item: object) -> str:
    return json.dumps(item, sort_keys=True)
