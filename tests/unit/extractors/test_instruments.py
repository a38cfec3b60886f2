"""The exchanges' symbol lists, and what of them is news."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, Queue
from threading import Event
from typing import Any

import pytest

from core.message import encode_item
from extractors.feed import Feed, FeedError, Instrument
from extractors.instruments import (
    InstrumentWatch,
    changes,
    instrument_message,
    read_instrument,
)
from extractors.notices import Listing, Notice
from tests.support.feeds import binance_feed, kucoin_feed
from tests.support.loopback import http_server
from tests.support.waiting import DEADLINE, wait_for

BTC = Instrument("binance", "BTCUSDT", "BTC", "USDT", "TRADING")
ADA = Instrument("binance", "ADAEUR", "ADA", "EUR", "TRADING")
LIFE = Instrument("binance", "币安人生USDT", "币安人生", "USDT", "BREAK")


def known(*instruments: Instrument) -> dict[str, Instrument]:
    return {each.symbol: each for each in instruments}


def exchange_info(*instruments: Instrument) -> str:
    """Binance's answer to /api/v3/exchangeInfo, with some of the fields that are not read."""
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
    """One element of KuCoin's answer to /api/v2/symbols, with some of the fields that are not read."""
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


def test_list_that_is_known_has_no_changes() -> None:
    assert changes(known(BTC, ADA), [ADA, BTC]) == []


def test_changes_are_what_is_new_and_what_is_different() -> None:
    halted = replace(BTC, status="HALT")
    assert changes(known(BTC, ADA), [halted, ADA, LIFE]) == [halted, LIFE]


def test_what_left_the_list_is_delisted_once() -> None:
    delisted = replace(BTC, status="DELISTED")
    assert changes(known(BTC, ADA), [ADA]) == [delisted]
    assert changes(known(delisted, ADA), [ADA]) == []
    assert changes(known(delisted, ADA), [ADA, BTC]) == [BTC]


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
        assert binance_feed(rest_url=url).instruments() == [BTC, ADA, LIFE]


def test_kucoin_says_base_and_quote_which_may_differ_from_its_symbol() -> None:
    listed = [
        kucoin_symbol("CRO-USDT", "CRO-USDT", "CRO"),
        kucoin_symbol("BCHSV-USDT", "BSV-USDT", "BSV"),
        kucoin_symbol("LUNA-USDT", "LUNC-USDT", "LUNC", enabled=False),
        kucoin_symbol("币安人生-USDT", "币安人生-USDT", "币安人生"),
    ]
    with http_server(lambda: json.dumps({"code": "200000", "data": listed})) as url:
        assert kucoin_feed(url).instruments() == [
            Instrument("kucoin", "CRO-USDT", "CRO", "USDT", "TRADING"),
            Instrument("kucoin", "BCHSV-USDT", "BSV", "USDT", "TRADING"),
            Instrument("kucoin", "LUNA-USDT", "LUNC", "USDT", "HALT"),
            Instrument("kucoin", "币安人生-USDT", "币安人生", "USDT", "TRADING"),
        ]


@pytest.mark.parametrize(
    ("feed", "path"),
    [
        (binance_feed, "/api/v3/exchangeInfo?showPermissionSets=false"),
        (kucoin_feed, "/api/v2/symbols"),
    ],
)
def test_list_is_asked_for_at_the_documented_path(feed: Callable[..., Feed], path: str) -> None:
    with http_server(lambda: "", status=404) as url:
        with pytest.raises(FeedError) as error:
            feed(rest_url=url).instruments()
    assert str(error.value) == f"refused: {path} answered 404"


@pytest.mark.parametrize(
    "answer",
    [
        "null",
        "[]",
        '"busy"',
        "{}",
        '{"symbols":null,"data":null}',
        '{"symbols":[null],"data":[null]}',
        '{"symbols":[{"symbol":"BTCUSDT"}],"data":[{"symbol":"BTC-USDT"}]}',
        '{"code":"400100","msg":"nothing here"}',
        # Would make every instrument a delisted one.
        '{"symbols":[],"data":[]}',
    ],
)
@pytest.mark.parametrize("feed", [binance_feed, kucoin_feed])
def test_answer_that_is_no_list_is_unreadable(feed: Callable[..., Feed], answer: str) -> None:
    with http_server(lambda: answer) as url:
        with pytest.raises(FeedError, match=r"^unreadable: "):
            feed(rest_url=url).instruments()


@contextmanager
def watching(
    feed: Feed, read_known: Callable[[], dict[str, Instrument]] = dict
) -> Iterator[Queue[Notice]]:
    notices: Queue[Notice] = Queue()
    stop = Event()
    watch = InstrumentWatch(feed, read_known, notices, stop)
    watch.start()
    try:
        yield notices
    finally:
        stop.set()
        wait_for(watch.is_alive, lambda is_alive: not is_alive)


def next_changes(notices: Queue[Notice]) -> list[Instrument]:
    notice = notices.get(timeout=DEADLINE)
    assert isinstance(notice, Listing)
    return notice.changed


def test_first_look_compares_with_what_is_known() -> None:
    halted = replace(BTC, status="HALT")
    with http_server(lambda: exchange_info(halted, LIFE)) as url:
        with watching(binance_feed(rest_url=url), lambda: known(BTC, ADA)) as notices:
            assert next_changes(notices) == [halted, LIFE, replace(ADA, status="DELISTED")]
            with pytest.raises(Empty):
                notices.get(timeout=0.1)


def test_later_looks_bring_only_what_changed_since(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.instruments.REFRESH_INTERVAL", 0.05)
    answers = iter([[BTC, ADA], [BTC, LIFE], [BTC, LIFE], [BTC, ADA, LIFE]])
    with http_server(lambda: exchange_info(*next(answers, [BTC, ADA, LIFE]))) as url:
        with watching(binance_feed(rest_url=url)) as notices:
            assert [next_changes(notices) for _ in range(4)] == [
                [BTC, ADA],
                [LIFE, replace(ADA, status="DELISTED")],
                [],
                [ADA],
            ]


@pytest.mark.parametrize("answer", [(404, ""), (200, "<html>"), (200, "{}")])
def test_list_that_can_not_be_had_is_asked_for_again(
    answer: tuple[int, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("extractors.instruments.RETRY_INTERVAL", 0.05)
    statuses, bodies = iter([answer[0]]), iter([answer[1]])
    with http_server(lambda: next(bodies, exchange_info(BTC)), lambda: next(statuses, 200)) as url:
        with watching(binance_feed(rest_url=url)) as notices:
            assert next_changes(notices) == [BTC]
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].startswith("instruments not known reason=")


def test_topic_that_can_not_be_read_is_asked_again_before_anything_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extractors.instruments.RETRY_INTERVAL", 0.05)
    problems = iter([OSError("no broker")])

    def read_known() -> dict[str, Instrument]:
        for problem in problems:
            raise problem
        return known(BTC)

    with http_server(lambda: exchange_info(BTC, ADA)) as url:
        with watching(binance_feed(rest_url=url), read_known) as notices:
            assert next_changes(notices) == [ADA]


def test_stop_is_not_held_up_by_a_list_that_can_not_be_had() -> None:
    asked = Event()

    def body() -> str:
        asked.set()
        return ""

    with http_server(body, status=404) as url, watching(binance_feed(rest_url=url)) as notices:
        assert asked.wait(DEADLINE)
    assert notices.empty()
