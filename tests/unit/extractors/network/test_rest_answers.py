"""Test unusual responses of the exchanges' REST servers, and the result of each.

Some follow public reports: bmoscon/cryptofeed issue 515 and ccxt issue 984 (odd entries),
hummingbot issue 1291 (bans), binance-connector-python issue 201 (regions that are not served).
"""

import json
from typing import Any, NamedTuple

import pytest

from exchanges.exchange import ExchangeError
from extractors.network.deadline import Deadline
from extractors.receive.exchange_client import ExchangeClient
from tests.support.exchange_clients import binance_client, kucoin_client
from tests.support.loopback import http_server
from tests.support.waiting import DEADLINE


class Case(NamedTuple):
    """Response to the request for the symbol list, or for the token."""

    exchange: str
    body: Any
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    symbols: list[str] = []  # noqa: RUF012 - never changed
    named: list[str] = []  # noqa: RUF012 - never changed
    """Names of the invalid entries in the log."""
    error: str = ""
    pause: float = 0.0


def binance(symbol: str, **changed: Any) -> dict[str, Any]:
    entry = {"symbol": symbol, "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "EUR"}
    return {**entry, **changed}


def kucoin(symbol: str, **changed: Any) -> dict[str, Any]:
    entry = {"symbol": symbol, "baseCurrency": "ETH", "quoteCurrency": "EUR"}
    return {**entry, "enableTrading": True, **changed}


def kucoin_list(*entries: Any, code: object = "200000") -> dict[str, Any]:
    return {"code": code, "data": entries}


NO_FLAG = {"symbol": "NEW-EUR", "baseCurrency": "NEW", "quoteCurrency": "EUR"}
LIST, TOKEN = "/api/v2/symbols", "/api/v1/bullet-public"
INFO = "/api/v3/exchangeInfo"

LISTS = {
    "binance, no base": Case(
        "binance",
        {"symbols": [binance("ETHEUR"), binance("NEWEUR", baseAsset=None), binance("ADAEUR")]},
        symbols=["ETHEUR", "ADAEUR"],
        named=["NEWEUR"],
    ),
    "binance, no quote and no object": Case(
        "binance",
        {"symbols": [binance("NEWEUR", quoteAsset=""), binance("ETHEUR"), None]},
        symbols=["ETHEUR"],
        named=["NEWEUR", "null"],
    ),
    "binance, status of another type": Case(
        "binance",
        {"symbols": [binance("ETHEUR"), binance("NEWEUR", status=1)]},
        symbols=["ETHEUR"],
        named=["NEWEUR"],
    ),
    "kucoin, no flag": Case(
        "kucoin", kucoin_list(kucoin("ETH-EUR"), NO_FLAG), symbols=["ETH-EUR"], named=["NEW-EUR"]
    ),
    "kucoin, flag of another type": Case(
        "kucoin",
        kucoin_list(kucoin("NEW-EUR", enableTrading="true"), kucoin("ETH-EUR")),
        symbols=["ETH-EUR"],
        named=["NEW-EUR"],
    ),
    "kucoin, code as a number": Case(
        "kucoin", kucoin_list(kucoin("ETH-EUR"), code=200000), symbols=["ETH-EUR"]
    ),
    "kucoin, error in an answer of 200": Case(
        "kucoin",
        {"code": "400400", "msg": "Parameter error"},
        error=f"refused: {LIST} answered code 400400: Parameter error",
    ),
    "binance, another shape": Case(
        "binance", {"data": []}, error=f"unreadable: {INFO}: KeyError('symbols')"
    ),
    "binance, banned": Case(
        "binance",
        {"code": -1003, "msg": "Way too many requests; IP banned until 1764000000000."},
        418,
        {"Retry-After": "7200"},
        error=f"refused: {INFO} answered 418 code -1003:"
        " Way too many requests; IP banned until 1764000000000.",
        pause=7200.0,
    ),
    "binance, blocked by the firewall for a while": Case(
        "binance",
        "<html><head><title>403 Forbidden</title></head></html>",
        403,
        {"Retry-After": "300"},
        error=f"refused: {INFO} answered 403: 403 Forbidden",
        pause=300.0,
    ),
    "binance, not from here": Case(
        "binance",
        {"code": 0, "msg": "Service unavailable from a restricted location"},
        451,
        error=f"refused: {INFO} answered 451 code 0: Service unavailable from a restricted location",
    ),
    "binance, a parameter that it does not know": Case(
        "binance",
        {"code": -1104, "msg": "Not all sent parameters were read; read '0' parameter(s)."},
        400,
        error=f"refused: {INFO} answered 400 code -1104:"
        " Not all sent parameters were read; read '0' parameter(s).",
    ),
}

TOKENS = {
    "kucoin, not from here": Case(
        "kucoin",
        {"code": "400302", "msg": "Our services are not available in your region."},
        403,
        error=f"refused: {TOKEN} answered 403 code 400302:"
        " Our services are not available in your region.",
    ),
    "kucoin, too many requests": Case(
        "kucoin",
        {"code": "429000", "msg": "Too many requests"},
        429,
        {"gw-ratelimit-reset": "2500"},
        error=f"refused: {TOKEN} answered 429 code 429000: Too many requests",
        pause=2.5,
    ),
    "kucoin, only another protocol": Case(
        "kucoin",
        {
            "code": 200000,
            "data": {
                "token": "secret",
                "instanceServers": [{"endpoint": "https://x.example", "protocol": "sockjs"}],
            },
        },
        error=f"unreadable: {TOKEN}: no WebSocket server: ValueError(\"protocol 'sockjs'\")",
    ),
}


def client_at(url: str, case: Case) -> ExchangeClient:
    return binance_client(rest_url=url) if case.exchange == "binance" else kucoin_client(url)


def body_of(case: Case) -> str:
    return case.body if isinstance(case.body, str) else json.dumps(case.body)


@pytest.mark.parametrize("case", LISTS.values(), ids=LISTS.keys())
def test_symbols_are_listed_or_the_error_has_reason_and_pause(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with http_server(lambda: body_of(case), case.status, case.headers) as url:
        client = client_at(url, case)
        # Twice, because an invalid entry is logged only once.
        for _ in range(2):
            if case.error and not client.ban.left():
                assert refused(client.symbol_list) == (case.error, case.pause)
            elif not case.error:
                found = client.symbol_list().instruments
                assert [each.symbol for each in found] == case.symbols
    named = [str(each.args[0]) for each in caplog.records if "symbol skipped" in each.msg]  # type: ignore[index]
    assert named == case.named


@pytest.mark.parametrize("case", TOKENS.values(), ids=TOKENS.keys())
def test_response_without_an_endpoint_is_an_error_with_reason_and_pause(case: Case) -> None:
    with http_server(lambda: body_of(case), case.status, case.headers) as url:
        client = client_at(url, case)
        assert refused(lambda: client.endpoint(Deadline(DEADLINE))) == (case.error, case.pause)


def refused(request: Any) -> tuple[str, float]:
    """Return the reason and the pause."""
    with pytest.raises(ExchangeError) as error:
        request()
    return str(error.value), error.value.retry_after
