"""Test requests for the exchanges' own candles, and for the turnover of each symbol."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from exchanges.binance import BINANCE
from exchanges.exchange import (
    Asking,
    CandleSource,
    CandleSpan,
    Exchange,
    ExchangeError,
    InvalidRequestError,
    Request,
    Result,
    Turnover,
)
from exchanges.kucoin import BUSY_PAUSE, KUCOIN

REST = {"rest": "https://exchange.example"}


def source_of(exchange: Exchange) -> CandleSource:
    assert exchange.candles
    return exchange.candles


def answered(asking: Asking[Result], text: str) -> tuple[Request, Result]:
    """Return the only request, and the result once it is answered."""
    request = next(asking)
    with pytest.raises(StopIteration) as done:
        asking.send(text)
    return request, done.value.value


@pytest.mark.parametrize(
    ("exchange", "span", "path", "query", "text"),
    [
        (
            BINANCE,
            CandleSpan("币安人生USDT", "1h", 3600, 10_800),
            "/api/v3/klines",
            {
                "symbol": "币安人生USDT",
                "interval": "1h",
                "startTime": "3600000",
                "endTime": "10799999",
                "limit": "1000",
            },
            '[[3600000, "0.10"]]',
        ),
        (
            KUCOIN,
            CandleSpan("BTC-USDT", "1d", 86_400, 172_800),
            "/api/v1/market/candles",
            {"symbol": "BTC-USDT", "type": "1day", "startAt": "86400", "endAt": "172800"},
            '{"code":"200000", "data":[["86400", "0.10"]]}',
        ),
    ],
)
def test_a_span_is_asked_for_and_the_answer_is_unchanged(
    exchange: Exchange, span: CandleSpan, path: str, query: dict[str, str], text: str
) -> None:
    request, found = answered(source_of(exchange).request(REST, span), text)
    address = urlsplit(request.url)
    assert (request.method, address.path) == ("GET", path)
    assert dict(parse_qsl(address.query)) == query
    assert found == text


@pytest.mark.parametrize(
    ("exchange", "text"),
    [
        (BINANCE, "<html>"),
        (BINANCE, '{"code":-1121,"msg":"Invalid symbol."}'),
        (KUCOIN, "<html>"),
        (KUCOIN, '{"code":"200000","data":null}'),
        (KUCOIN, '{"code":"500000","msg":"internal"}'),
    ],
)
def test_an_answer_without_candles_is_an_error(exchange: Exchange, text: str) -> None:
    asking = source_of(exchange).request(REST, CandleSpan("BTC", "1m", 0, 60))
    next(asking)
    with pytest.raises(ExchangeError) as raised:
        asking.send(text)
    assert not isinstance(raised.value, InvalidRequestError)


def test_kucoins_limit_demands_a_pause_even_with_http_status_200() -> None:
    asking = source_of(KUCOIN).request(REST, CandleSpan("BTC-USDT", "1m", 0, 60))
    next(asking)
    with pytest.raises(ExchangeError, match="code 429000: Too Many Requests") as raised:
        asking.send('{"code":"429000","msg":"Too Many Requests"}')
    assert raised.value.retry_after == BUSY_PAUSE


def test_kucoins_refusal_of_a_symbol_is_final() -> None:
    asking = source_of(KUCOIN).request(REST, CandleSpan("GONE-USDT", "1m", 0, 60))
    next(asking)
    with pytest.raises(InvalidRequestError, match="code 900001: symbol not exists"):
        asking.send('{"code":"900001","msg":"symbol not exists"}')


@pytest.mark.parametrize(
    ("exchange", "answer"),
    [
        (BINANCE, [{"symbol": "A", "lastPrice": "2.5", "quoteVolume": "1000"}]),
        (
            KUCOIN,
            {
                "code": "200000",
                "data": {
                    "ticker": [
                        {"symbol": "A", "last": "2.5", "volValue": "1000"},
                        {"symbol": "NEW", "last": None, "volValue": None},
                    ]
                },
            },
        ),
    ],
)
def test_turnover_is_the_last_price_and_the_volume_in_the_quote(
    exchange: Exchange, answer: object
) -> None:
    _, found = answered(source_of(exchange).turnovers(REST), json.dumps(answer))
    assert found == {"A": Turnover(2.5, 1000.0)}


@pytest.mark.parametrize(
    "bad",
    [
        {"symbol": "B", "last": "2", "volValue": None, "lastPrice": "2", "quoteVolume": None},
        {"symbol": "B", "last": "?", "volValue": "1", "lastPrice": "?", "quoteVolume": "1"},
        {"symbol": "B", "last": "2", "volValue": "NaN", "lastPrice": "2", "quoteVolume": "NaN"},
        {"symbol": "B", "last": 10**400, "volValue": 1, "lastPrice": 10**400, "quoteVolume": 1},
        {"symbol": "B"},
        {"symbol": ["B"], "last": "2", "volValue": "1", "lastPrice": "2", "quoteVolume": "1"},
        {"symbol": None, "last": "2", "volValue": "1", "lastPrice": "2", "quoteVolume": "1"},
        None,
        "B",
    ],
)
@pytest.mark.parametrize("exchange", [BINANCE, KUCOIN])
def test_an_entry_without_a_readable_turnover_is_left_out(exchange: Exchange, bad: object) -> None:
    """Turnovers only order the requests: one bad entry must not prevent them."""
    good = {"symbol": "A", "last": "2.5", "volValue": "7", "lastPrice": "2.5", "quoteVolume": "7"}
    entries = [bad, good]
    answer = {"code": "200000", "data": {"ticker": entries}} if exchange is KUCOIN else entries
    _, found = answered(source_of(exchange).turnovers(REST), json.dumps(answer))
    assert found == {"A": Turnover(2.5, 7.0)}


@pytest.mark.parametrize(
    ("exchange", "text"),
    [
        (BINANCE, "<html>"),
        (BINANCE, '{"code":-1000,"msg":"unknown"}'),
        (KUCOIN, '{"code":"200000","data":null}'),
        (KUCOIN, '{"code":"200000","data":{"ticker":null}}'),
    ],
)
def test_an_answer_without_turnovers_is_an_error(exchange: Exchange, text: str) -> None:
    asking = source_of(exchange).turnovers(REST)
    next(asking)
    with pytest.raises(ExchangeError):
        asking.send(text)
