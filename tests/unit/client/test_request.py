import pytest
from crypto_prices.options import parameters
from crypto_prices.request import RefusedError, refusal, stream_address
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws?quote=USDT"),
        ("https://prices.example.org/crypto/", "wss://prices.example.org/crypto/ws?quote=USDT"),
        ("ws://[::1]:8000/", "ws://[::1]:8000/ws?quote=USDT"),
    ],
)
def test_the_address_of_a_server_becomes_that_of_its_stream(url: str, address: str) -> None:
    assert stream_address(url, {"quote": "USDT", "symbol": None}) == address


def test_a_parameter_with_several_values_is_repeated() -> None:
    address = stream_address("http://h", {"symbol": ["BTC-USDT", "币安人生USDT"]})

    assert address == ("ws://h/ws?symbol=BTC-USDT&symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT")


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://h", "http://", ""])
def test_what_is_no_address_is_refused_with_its_value(url: str) -> None:
    with pytest.raises(ValueError, match=f"url='{url}'"):
        stream_address(url, {})


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="unknown option 'qoute'"):
        parameters({"qoute": "USDT"})  # type: ignore[typeddict-unknown-key]


def test_values_are_read_once_at_the_start() -> None:
    symbols = ["BTCUSDT"]
    query = parameters(
        {
            "symbol": symbols,
            "base": (base for base in ("BTC", "ETH")),
            "fields": iter(["price", "bid"]),
        }
    )
    symbols.append("ETHUSDT")

    # Every connection asks for the same prices.
    addresses = [stream_address("http://h", query) for _ in range(2)]
    wanted = "base=BTC&base=ETH&symbol=BTCUSDT&fields=price%2Cbid&events=interruptions"
    assert addresses == [f"ws://h/ws?{wanted}"] * 2


def test_one_text_is_one_value() -> None:
    query = parameters({"exchange": "kucoin", "status": "trading", "fields": "price,bid"})

    wanted = "exchange=kucoin&status=trading&fields=price%2Cbid&events=interruptions"
    assert stream_address("http://h", query) == f"ws://h/ws?{wanted}"


@pytest.mark.parametrize("name", ["exchange", "base", "quote", "symbol", "fields"])
def test_an_option_without_values_is_refused_by_name(name: str) -> None:
    """Left out, it would mean all prices, or all fields."""
    empty: list[str] = []
    for values in (empty, iter(empty)):
        with pytest.raises(ValueError, match=f"{name} is empty: expected at least one value"):
            parameters({name: values})  # type: ignore[misc]


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (
            401,
            b'{"detail":"the API key is missing or wrong"}',
            "401: the API key is missing or wrong",
        ),
        (404, b"<html>not found</html>", "404: <html>not found</html>"),
        (422, b"[]", "422: []"),
    ],
)
def test_a_refusal_has_the_servers_reason(status: int, body: bytes, text: str) -> None:
    found = refusal(InvalidStatus(Response(status, "", Headers(), body)))

    assert isinstance(found, RefusedError)
    assert (found.status, str(found)) == (status, text)


def test_a_failure_that_may_pass_is_no_refusal() -> None:
    assert refusal(OSError("connection refused")) is None
    assert refusal(InvalidStatus(Response(503, "", Headers(), b""))) is None
