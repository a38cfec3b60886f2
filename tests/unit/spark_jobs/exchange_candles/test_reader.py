"""Candles of an exchange are read exactly, and one that can't be read costs no other."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from core.message import candles_message
from core.topics import EXCHANGE_CANDLES
from spark_jobs.exchange_candles.columns import IS_CANDLE, IS_SPAN
from spark_jobs.exchange_candles.reader import read_candles
from spark_jobs.tickers.columns import IS_DEAD_LETTER

MINUTE = 1_743_147_420
"""2025-03-28 07:37:00"""
RECEIVED_AT = (MINUTE + 131) * 1_000_000

KLINE = [
    *(MINUTE * 1000, "85439.99000000", "85450.01", "85430", "85440.1", "12.5"),
    *(MINUTE * 1000 + 59_999, "1068000.123456789012345678", 308, "6", "500000", "0"),
]
KUCOIN_CANDLE = [str(MINUTE), "0.10604", "0.10605", "0.107", "0.1060", "159.3256", "16.9"]


def fields(**changed: Any) -> dict[str, Any]:
    return {
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "interval": "1m",
        "from": MINUTE * 1_000_000,
        "to": (MINUTE + 120) * 1_000_000,
        "received_at": RECEIVED_AT,
        "reason": None,
    } | changed


def record(offset: int = 7) -> dict[str, Any]:
    """Return the fields of a Kafka record except its value."""
    timestamp = RECEIVED_AT + 2000
    return {"topic": EXCHANGE_CANDLES, "partition": 0, "offset": offset, "timestamp": timestamp}


def read(*messages: bytes) -> list[dict[str, Any]]:
    batch = pa.RecordBatch.from_pylist(
        [{"value": value, **record(offset)} for offset, value in enumerate(messages, 7)]
    )
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in read_candles(batch).to_pylist()
    ]


def of(kind: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["kind"] == kind]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_candle_of_binance_is_read_to_the_last_digit() -> None:
    rows = read(candles_message(fields(), json.dumps([KLINE])))
    common = {
        **{"topic": EXCHANGE_CANDLES, "partition": 0, "first_offset": 7, "last_offset": 7},
        "timestamp": at(MINUTE + 131) + timedelta(milliseconds=2),
        "exchange": "binance",
        "symbol": "BTCUSDT",
        "interval": "1m",
        "received_at": at(MINUTE + 131),
    }
    assert rows == [
        common | {"kind": IS_SPAN, "start": at(MINUTE), "until": at(MINUTE + 120)},
        common
        | {
            "kind": IS_CANDLE,
            "start": at(MINUTE),
            "open": Decimal("85439.99"),
            "high": Decimal("85450.01"),
            "low": Decimal(85430),
            "close": Decimal("85440.1"),
            "base_volume": Decimal("12.5"),
            "quote_volume": Decimal("1068000.123456789012345678"),
            "trades": 308,
        },
    ]


def test_a_candle_of_kucoin_has_the_close_before_high_and_low_and_no_trades() -> None:
    text = json.dumps({"code": "200000", "data": [KUCOIN_CANDLE]})
    changed = fields(exchange="kucoin", symbol="CRO-USDT")
    [candle] = of(IS_CANDLE, read(candles_message(changed, text)))
    assert [candle[n] for n in ("start", "open", "high", "low", "close")] == [
        at(MINUTE),
        *map(Decimal, ("0.10604", "0.107", "0.106", "0.10605")),
    ]
    assert (candle["base_volume"], candle["quote_volume"]) == (Decimal("159.3256"), Decimal("16.9"))
    assert "trades" not in candle


@pytest.mark.parametrize(
    ("position", "written", "reason"),
    [
        (1, "1e", "open is no number: 1e"),
        (1, "0.1234567890123456789", "open has more than 18 decimals: 0.1234567890123456789"),
        (3, "0", "a price is not positive"),
        (2, "85430", "low or high contradicts the other prices"),
        (
            0,
            MINUTE * 1000 + 1,
            f"start is not a multiple of the interval: {MINUTE * 1_000_000 + 1000}",
        ),
        (0, (MINUTE + 180) * 1000, f"start is after received_at: {(MINUTE + 180) * 1_000_000}"),
        (0, None, "start is no number: null"),
    ],
)
def test_a_candle_that_can_not_be_right_is_a_dead_letter_and_costs_no_other(
    position: int, written: Any, reason: str
) -> None:
    bad = [*KLINE[:position], written, *KLINE[position + 1 :]]
    rows = read(candles_message(fields(), json.dumps([bad, KLINE])))
    [dead] = of(IS_DEAD_LETTER, rows)
    assert (dead["position"], dead["reason"]) == (0, reason)
    # Each number and text is as it was written.
    assert dead["payload"].decode() == json.dumps(bad, separators=(",", ":"))
    assert len(of(IS_CANDLE, rows)) == 1


def test_a_volume_that_can_not_be_read_is_null_and_the_prices_stay() -> None:
    bad = [*KLINE[:5], "much", *KLINE[6:8], "many"]
    [candle] = of(IS_CANDLE, read(candles_message(fields(), json.dumps([bad]))))
    assert "base_volume" not in candle and "trades" not in candle
    assert candle["close"] == Decimal("85440.1")


def test_a_candle_that_is_shorter_or_no_array_is_a_dead_letter() -> None:
    rows = read(candles_message(fields(), json.dumps([KLINE[:3], {"open": "1"}])))
    assert [row["reason"] for row in of(IS_DEAD_LETTER, rows)] == [
        "low is no number: null",
        "the candle is no JSON array",
    ]


def test_a_candle_that_is_nested_too_deeply_is_a_dead_letter_with_the_message() -> None:
    nested = 600 * '{"a":' + "1" + 600 * "}"
    value = candles_message(fields(), f"[{json.dumps(KLINE)},{nested}]")

    rows = read(value)

    (letter,) = of(IS_DEAD_LETTER, rows)
    assert (letter["position"], letter["payload"]) == (1, value)
    assert len(of(IS_CANDLE, rows)) == 1


def test_a_refused_request_is_a_span_with_the_reason() -> None:
    [row] = read(candles_message(fields(reason="refused: 400 Invalid symbol."), None))
    assert (row["kind"], row["reason"]) == (IS_SPAN, "refused: 400 Invalid symbol.")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "the message is no JSON object"),
        (b"[1]", "the message is no JSON object"),
        (b"{} {}", "the message is no JSON object"),
        (b"\xff", "the message is no JSON object"),
        (b"[" * 100_000, "the message is no JSON object"),
        # orjson decodes this depth, and Python's own decoder does not.
        (b'{"exchange":' + b"[" * 1020 + b"]" * 1020 + b"}", "the message is no JSON object"),
        (
            candles_message(fields(exchange="mtgox"), "[]"),
            "the exchange is unknown or has no candles: mtgox",
        ),
        (candles_message(fields(interval="2m"), "[]"), "interval is unknown: 2m"),
        (candles_message(fields(interval=[]), "[]"), "interval is unknown: an array"),
        (candles_message(fields(symbol=""), "[]"), "symbol is empty: "),
        (candles_message(fields(**{"from": "now"}), "[]"), "from is no number: now"),
        (candles_message(fields(), '{"code":1}'), "the response has no array of candles"),
        (candles_message(fields(), None), "the response has no array of candles"),
    ],
)
def test_a_message_that_can_not_be_read_is_one_dead_letter(value: bytes, reason: str) -> None:
    [row] = read(value)
    assert (row["kind"], row["reason"], row["payload"]) == (IS_DEAD_LETTER, reason, value)
    assert row["position"] == -1
