import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.prices import COLUMNS, instant, plain, price_of

ROW = {
    "exchange": "binance",
    "symbol": "币安人生USDT",
    "price": Decimal("0.000000010000000000"),
    "bid": None,
    "bid_size": None,
    "ask": None,
    "ask_size": None,
    "last_size": None,
    "open_24h": Decimal("85439.990000000000000000"),
    "high_24h": Decimal("0E-18"),
    "low_24h": Decimal("0.123456789012345678"),
    "base_volume_24h": Decimal("12345678901234567890.123456789012345678"),
    "quote_volume_24h": Decimal("120.000000000000000000"),
    "traded_at": None,
    "event_time": datetime(2025, 3, 28, 7, 37, 28, 467000, UTC),
    "sequence": 1743147448467,
    "received_at": datetime(2025, 3, 28, 7, 37, 28, 501233, UTC),
    "endpoint": "stream.binance.com",
    "topic": "binance_raw_data",
    "partition": 2,
    "offset": 1042,
    "position": 17,
    "batch_id": 311,
}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("85439.990000000000000000", "85439.99"),
        ("0.000000010000000000", "0.00000001"),
        ("1E-18", "0.000000000000000001"),
        ("0E-18", "0"),
        ("120.000000000000000000", "120"),
        ("120", "120"),
        ("1.2E+3", "1200"),
        ("-0.500", "-0.5"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
    ],
)
def test_an_amount_is_plain_and_exact(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text


@given(st.integers(-(10**38) + 1, 10**38 - 1))
def test_no_digit_of_a_numeric_38_18_is_lost(unscaled: int) -> None:
    amount = Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -18))

    text = plain(amount)

    assert Decimal(text) == amount
    assert "E" not in text
    assert not (text.endswith("0") and "." in text)


def test_a_time_is_utc_with_microseconds() -> None:
    half_past_nine = datetime(2025, 3, 28, 9, 30, tzinfo=timezone(timedelta(hours=2)))

    assert instant(half_past_nine) == "2025-03-28T07:30:00.000000Z"


def test_a_row_is_a_json_object_with_amounts_as_strings() -> None:
    price = price_of([ROW[column] for column in COLUMNS])

    own = price._asdict()
    assert own == {name: ROW[name] for name in own if name != "json"} | {"json": price.json}
    assert json.loads(price.json) == ROW | {
        "price": "0.00000001",
        "open_24h": "85439.99",
        "high_24h": "0",
        "low_24h": "0.123456789012345678",
        "base_volume_24h": "12345678901234567890.123456789012345678",
        "quote_volume_24h": "120",
        "event_time": "2025-03-28T07:37:28.467000Z",
        "received_at": "2025-03-28T07:37:28.501233Z",
        "simulated": False,
    }


def test_a_value_of_another_type_is_refused() -> None:
    row = [ROW[column] if column != "price" else object() for column in COLUMNS]

    with pytest.raises(TypeError, match="has no JSON form"):
        price_of(row)
