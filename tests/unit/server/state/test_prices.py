import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.state.prices import instant, plain, price_of


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


@pytest.mark.parametrize(("endpoint", "simulated"), [("stream.binance.com", False), (None, True)])
def test_a_row_says_whether_it_is_simulated(endpoint: str | None, simulated: bool) -> None:
    at = datetime(2025, 3, 28, 7, 37, 28, 501233, UTC)
    listed = ("BTC", "USDT", "TRADING")
    text = '{"price":"1.5"}'
    row = ("binance", "BTCUSDT", *listed, Decimal("1.50"), None, at, endpoint, 311, text)

    price = price_of(row)

    assert price[:-1] == row[:-1]
    assert json.loads(price.json) == {"price": "1.5", "simulated": simulated}
