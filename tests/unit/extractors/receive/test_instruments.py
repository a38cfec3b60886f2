"""Test reading the exchanges' symbol lists, and detecting their changes."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import pytest

from core.message import encode_item
from exchanges.exchange import ExchangeError, Instrument
from extractors.receive.backlog import Backlog
from extractors.receive.delisting import Delisting
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.instruments import (
    InstrumentWatch,
    instrument_message,
    news,
    read_instrument,
)
from extractors.receive.notices import Listing
from extractors.receive.symbol_list import SymbolList
from tests.support.exchange_clients import binance_client, kucoin_client
from tests.support.loopback import http_server
from tests.support.waiting import DEADLINE, wait_for

BTC = Instrument("binance", "BTCUSDT", "BTC", "USDT", "TRADING")
ADA = Instrument("binance", "ADAEUR", "ADA", "EUR", "TRADING")
LIFE = Instrument("binance", "币安人生USDT", "币安人生", "USDT", "BREAK")
OTHERS = [Instrument("binance", f"C{n}USDT", f"C{n}", "USDT", "TRADING") for n in range(20)]
"""Enough symbols that one of them is less than a tenth of all."""


def known(*instruments: Instrument) -> dict[str, Instrument]:
    return {each.symbol: each for each in instruments}


def exchange_info(*instruments: Instrument) -> str:
    """Return Binance's response to /api/v3/exchangeInfo, with some of the fields that are not read."""
    symbols = [
        {
            "symbol": each.symbol,
            "status": each.status,
            "baseAsset": each.base,
            "baseAssetPrecision": 8,
            "quoteAsset": each.quote,
            "orderTypes": ["LIMIT", "MARKET"],
            "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
        }
        for each in instruments
    ]
    return json.dumps({"timezone": "UTC", "serverTime": 1743147448467, "symbols": symbols})


def kucoin_symbol(symbol: str, name: str, base: str, enabled: bool = True) -> dict[str, Any]:
    """Return one entry of KuCoin's /api/v2/symbols, with some of the fields that are not read."""
    return {
        "symbol": symbol,
        "name": name,
        "baseCurrency": base,
        "quoteCurrency": "USDT",
        "market": "USDS",
        "baseMinSize": "0.01",
        "enableTrading": enabled,
        "isMarginEnabled": True,
    }


def changes(
    before: dict[str, Instrument], *listed: Instrument, unread: frozenset[str] = frozenset()
) -> list[Instrument]:
    return news(before, SymbolList([*listed], unread), Delisting()).changed


def test_list_that_is_known_has_no_changes() -> None:
    assert changes(known(BTC, ADA), ADA, BTC) == []


def test_changes_are_what_is_new_and_what_is_different() -> None:
    halted = replace(BTC, status="HALT")
    assert changes(known(BTC, ADA), halted, ADA, LIFE) == [halted, LIFE]


def test_what_left_the_list_is_delisted_once() -> None:
    delisted = replace(BTC, status="DELISTED")
    assert changes(known(BTC, ADA, *OTHERS), ADA, *OTHERS) == [delisted]
    assert changes(known(delisted, ADA, *OTHERS), ADA, *OTHERS) == []
    assert changes(known(delisted, ADA, *OTHERS), ADA, BTC, *OTHERS) == [BTC]


def test_symbol_whose_entry_can_not_be_read_stays_as_it_is() -> None:
    unread = frozenset([BTC.symbol, "NEWUSDT"])
    assert changes(known(BTC, *OTHERS), *OTHERS, unread=unread) == []


def test_list_that_shrank_brings_what_is_new_and_delists_nothing() -> None:
    shrunk = SymbolList([LIFE, *OTHERS[:10]])
    assert news(known(*OTHERS), shrunk, Delisting()) == (
        [LIFE],
        {each.symbol for each in OTHERS[10:]},
    )


def test_message_says_who_saw_what_and_when() -> None:
    assert instrument_message(LIFE, 1743147448467000) == {
        "exchange": "binance",
        "symbol": "币安人生USDT",
        "base": "币安人生",
        "quote": "USDT",
        "status": "BREAK",
        "seen_at": 1743147448467000,
    }


@pytest.mark.parametrize("instrument", [BTC, LIFE])
def test_message_is_read_back(instrument: Instrument) -> None:
    assert read_instrument(encode_item(instrument_message(instrument, 1))) == instrument


@pytest.mark.parametrize(
    "value", [b"", b"null", b"[]", b'"text"', b"{", b"\xff", b'{"exchange":"binance"}']
)
def test_what_is_no_message_of_an_instrument_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError):
        read_instrument(value)


def test_binance_says_base_and_quote_and_its_own_status() -> None:
    with http_server(lambda: exchange_info(BTC, ADA, LIFE)) as url:
        assert binance_client(rest_url=url).symbol_list() == ([BTC, ADA, LIFE], frozenset())


def test_kucoin_says_base_and_quote_which_may_differ_from_its_symbol() -> None:
    listed = [
        kucoin_symbol("CRO-USDT", "CRO-USDT", "CRO"),
        kucoin_symbol("BCHSV-USDT", "BSV-USDT", "BSV"),
        kucoin_symbol("LUNA-USDT", "LUNC-USDT", "LUNC", enabled=False),
        kucoin_symbol("币安人生-USDT", "币安人生-USDT", "币安人生"),
    ]
    with http_server(lambda: json.dumps({"code": "200000", "data": listed})) as url:
        assert kucoin_client(url).symbol_list().instruments == [
            Instrument("kucoin", "CRO-USDT", "CRO", "USDT", "TRADING"),
            Instrument("kucoin", "BCHSV-USDT", "BSV", "USDT", "TRADING"),
            Instrument("kucoin", "LUNA-USDT", "LUNC", "USDT", "HALT"),
            Instrument("kucoin", "币安人生-USDT", "币安人生", "USDT", "TRADING"),
        ]


@pytest.mark.parametrize(
    ("client", "path"),
    [
        (binance_client, "/api/v3/exchangeInfo"),
        (kucoin_client, "/api/v2/symbols"),
    ],
)
def test_list_is_asked_for_at_the_documented_path(
    client: Callable[..., ExchangeClient], path: str
) -> None:
    with http_server(lambda: "", status=404) as url:
        with pytest.raises(ExchangeError) as error:
            client(rest_url=url).symbol_list()
    assert str(error.value) == f"refused: {path} answered 404"


@pytest.mark.parametrize(
    "answer",
    [
        "null",
        "[]",
        '"busy"',
        "{}",
        "<html>busy</html>",
        '{"symbols":[',
        '{"code":"200000","symbols":null,"data":null}',
        '{"code":"200000","symbols":[null],"data":[null]}',
        '{"code":"200000","symbols":[{"symbol":"BTCUSDT"}],"data":[{"symbol":"BTC-USDT"}]}',
        '{"code":"200000","symbols":"","data":{}}',
        # It would delist every instrument.
        '{"code":"200000","symbols":[],"data":[]}',
    ],
)
@pytest.mark.parametrize(
    ("client", "path"),
    [(binance_client, "/api/v3/exchangeInfo"), (kucoin_client, "/api/v2/symbols")],
)
def test_answer_that_is_no_list_is_unreadable(
    client: Callable[..., ExchangeClient], path: str, answer: str
) -> None:
    with http_server(lambda: answer) as url:
        with pytest.raises(ExchangeError, match=rf"^unreadable: ({path}|symbol list): "):
            client(rest_url=url).symbol_list()


@contextmanager
def watching(
    client: ExchangeClient, read_known: Callable[[], dict[str, Instrument]] = dict
) -> Iterator[Backlog]:
    backlog = Backlog(1_000)
    stop = Event()
    watch = InstrumentWatch(client, read_known, backlog, stop)
    watch.start()
    try:
        yield backlog
    finally:
        stop.set()
        wait_for(watch.is_alive, lambda is_alive: not is_alive)


def next_changes(backlog: Backlog, lists: int = 1) -> list[list[Instrument]]:
    """Return the changes of the next lists."""
    listings: list[Listing] = []
    while len(listings) < lists:
        notices = backlog.take(DEADLINE)
        assert notices, f"nothing for {DEADLINE:g} s after {listings}"
        listings += [each for each in notices if isinstance(each, Listing)]
    assert len(listings) == lists
    return [each.changed for each in listings]


def test_first_look_compares_with_what_is_known() -> None:
    halted = replace(BTC, status="HALT")
    with http_server(lambda: exchange_info(halted, LIFE, *OTHERS)) as url:
        with watching(binance_client(rest_url=url), lambda: known(BTC, ADA, *OTHERS)) as backlog:
            assert next_changes(backlog) == [[halted, LIFE, replace(ADA, status="DELISTED")]]
            assert backlog.take(0.1) == []


def test_later_looks_bring_only_what_changed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.receive.instruments.REFRESH_INTERVAL", 0.05)
    answers = iter([[BTC, ADA], [BTC, LIFE], [BTC, LIFE], [BTC, ADA, LIFE]])
    stop = Event()

    def body() -> str:
        listed = next(answers, None)
        if listed is None:
            stop.wait(DEADLINE)
        return exchange_info(*(listed or []), *OTHERS)

    with http_server(body) as url:
        with watching(binance_client(rest_url=url), lambda: known(*OTHERS)) as backlog:
            found = next_changes(backlog, 4)
            stop.set()
    assert found == [[BTC, ADA], [LIFE, replace(ADA, status="DELISTED")], [], [ADA]]


def test_list_that_shrank_is_named_and_asked_for_again_until_it_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extractors.receive.instruments.CONFIRMED_AFTER", 0.05)
    monkeypatch.setattr("extractors.receive.delisting.CONFIRMED_AFTER", 0.05)
    with http_server(lambda: exchange_info(*OTHERS[:10])) as url:
        with watching(binance_client(rest_url=url), lambda: known(*OTHERS)) as backlog:
            first, second = next_changes(backlog, 2)
    assert first == []
    assert second == [replace(each, status="DELISTED") for each in OTHERS[10:]]
    assert caplog.text.count("symbol list shrank") == 1
    assert "symbol list shrank known=20 missing=10 asked_again_in=0.05" in caplog.text


@pytest.mark.parametrize("answer", [(404, ""), (200, "<html>"), (200, "{}")])
def test_list_that_can_not_be_had_is_asked_for_again(
    answer: tuple[int, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extractors.receive.repeated.RETRY_INTERVAL", 0.05)
    statuses, bodies = iter([answer[0]]), iter([answer[1]])
    with http_server(lambda: next(bodies, exchange_info(BTC)), lambda: next(statuses, 200)) as url:
        with watching(binance_client(rest_url=url)) as backlog:
            assert next_changes(backlog) == [[BTC]]
    assert caplog.text.count("instruments unknown reason=") == 1


def test_banned_list_is_asked_for_again_only_after_the_ban(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for interval in ("RETRY_INTERVAL", "LONGEST_RETRY_INTERVAL"):
        monkeypatch.setattr(f"extractors.receive.repeated.{interval}", 0.01)
    asked_at: list[float] = []

    def status() -> int:
        asked_at.append(time.monotonic())
        return 418 if len(asked_at) == 1 else 200

    with http_server(lambda: exchange_info(BTC), status, {"Retry-After": "0.3"}) as url:
        with watching(binance_client(rest_url=url)) as backlog:
            assert next_changes(backlog) == [[BTC]]
    first, second = asked_at
    assert second - first >= 0.3
    # Attempts during the ban would be logged, though no request is sent.
    assert caplog.text.count("instruments unknown reason=") == 1
    assert "retry_in=0.3" in caplog.text


class ForeseenByNobody(Exception):
    pass


@pytest.mark.parametrize("problem", [OSError("no broker"), ForeseenByNobody()])
def test_a_topic_that_can_not_be_read_is_retried_before_anything_is_reported(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extractors.receive.repeated.RETRY_INTERVAL", 0.05)
    problems = iter([problem])

    def read_known() -> dict[str, Instrument]:
        for each in problems:
            raise each
        return known(BTC)

    with http_server(lambda: exchange_info(BTC, ADA)) as url:
        with watching(binance_client(rest_url=url), read_known) as backlog:
            assert next_changes(backlog) == [[ADA]]


def test_stop_is_not_held_up_by_a_list_that_can_not_be_had(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for interval in ("RETRY_INTERVAL", "LONGEST_RETRY_INTERVAL"):
        monkeypatch.setattr(f"extractors.receive.repeated.{interval}", 10 * DEADLINE)
    asked = Event()

    def body() -> str:
        asked.set()
        return ""

    with http_server(body, status=404) as url, watching(binance_client(rest_url=url)) as backlog:
        assert asked.wait(DEADLINE)
    assert backlog.take(0.0) == []
