import pytest

from server.state.provenance import is_simulated


@pytest.mark.parametrize(
    "endpoint",
    [
        "stream.binance.com",
        "data-stream.binance.vision",
        "ws-api-spot.kucoin.com",
        "kucoin.com",
    ],
)
def test_a_price_from_an_exchange_is_real(endpoint: str) -> None:
    assert not is_simulated(endpoint)


@pytest.mark.parametrize(
    "endpoint",
    [
        "127.0.0.1",
        "localhost",
        "stream.binance.com.example.org",
        "notbinance.com",
        "binance.us",
        "",
        None,
    ],
)
def test_a_price_from_anywhere_else_is_simulated(endpoint: str | None) -> None:
    assert is_simulated(endpoint)
