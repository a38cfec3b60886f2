"""Test that using a client outside `with` is an error, never an endless wait."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from crypto_prices import AsyncPrices, Prices

URL = "http://127.0.0.1:1"
KEY = ("binance", "BTCUSDT")

LOOKUPS: list[Callable[[Any], object]] = [
    lambda prices: prices[KEY],
    lambda prices: KEY in prices,
    len,
    lambda prices: prices.table(),
    lambda prices: prices.id,
    lambda prices: prices.interruptions,
]


@pytest.mark.parametrize("use", [lambda prices: next(iter(prices)), *LOOKUPS])
def test_a_use_outside_with_is_an_error(use: Callable[[Any], object]) -> None:
    with pytest.raises(RuntimeError, match=r"not open: use `with Prices\(…\) as prices`"):
        use(Prices(URL))


@pytest.mark.parametrize("use", [lambda prices: asyncio.run(anext(prices)), *LOOKUPS])
def test_a_use_outside_async_with_is_an_error(use: Callable[[Any], object]) -> None:
    with pytest.raises(
        RuntimeError, match=r"not open: use `async with AsyncPrices\(…\) as prices`"
    ):
        use(AsyncPrices(URL))


def test_closing_what_was_never_open_does_nothing() -> None:
    Prices(URL).close()
    asyncio.run(AsyncPrices(URL).close())
