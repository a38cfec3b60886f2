"""Build messages of the topics for instruments and feed events, as in core.message."""

from typing import Any

SEEN_AT = 1743147448467000  # 2025-03-28 07:37:28.467 UTC


def instrument(**changed: Any) -> dict[str, Any]:
    return {
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "status": "TRADING",
        "seen_at": SEEN_AT,
    } | changed


def feed_event(**changed: Any) -> dict[str, Any]:
    """Return an ongoing interruption. `start` and `end` set the fields `from` and `to`."""
    names = {"start": "from", "end": "to"}
    return {
        "exchange": "binance",
        "endpoint": "stream.binance.com",
        "kind": "interruption",
        "reason": "silence: no ticker for 10 s",
        "from": SEEN_AT,
        "to": None,
        "frames": 0,
    } | {names.get(name, name): value for name, value in changed.items()}
