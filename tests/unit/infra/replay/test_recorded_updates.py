"""Test streams of single symbols and REST answers that are made from a recording."""

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.sync.client import connect

from infra.replay.recording.landing import Folder
from infra.replay.recording.recording import Recording
from infra.replay.recording.updates import of_one_symbol
from tests.support.recordings import START, line, write
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import text_of, texts
from tests.support.waiting import DEADLINE

SECOND = 1_000_000
BITCOIN = (
    '{"e":"24hrMiniTicker","E":1743147448467,"s":"BTCUSDT","c":"85439.9900","o":"87304.3500",'
    '"h":"87728.27","l":"85300.01","v":"20230.79019","q":"1754434346.25694750"}'
)
ETHER = '{"e":"24hrMiniTicker","E":1743147448468,"s":"ETHUSDT","c":"2000.0"}'
KUCOIN = (
    '{"topic":"/market/ticker:all","type":"message","subject":"BTC-USDT","data":{"bestAsk":"85440",'
    '"bestAskSize":"2.20","bestBid":"85439","bestBidSize":"1","price":"85439.50","sequence":"9",'
    '"size":"0.10","time":1743147198992}}'
)


def get(address: str, path: str) -> Any:
    return requests.get(f"http://{address}/api/{path}", timeout=DEADLINE).json()


def recording(folder: Path) -> Recording:
    """Return a recording with two arrays 1 s apart and a frame of KuCoin, at ten times the speed."""
    items = [line(BITCOIN, START), line(ETHER, START)]
    later = BITCOIN.replace("85439.9900", "85441.1")
    write(folder, "binance", 0, [*items, line(later, START + SECOND)])
    write(folder, "kucoin", 0, [line(KUCOIN, START + SECOND)])
    return Recording(landing=Folder(folder), speed=10)


def test_a_symbols_stream_and_the_rest_answers_have_what_was_recorded(tmp_path: Path) -> None:
    with running(*recording(tmp_path).exchanges()) as address:
        assert get(address, "v3/ticker/24hr") == []
        with connect(f"ws://{address}/stream?streams=btcusdt@miniTicker") as client:
            first, second = text_of(client), text_of(client)
        days = {each["symbol"]: each for each in get(address, "v3/ticker/24hr")}
        price = get(address, "v3/ticker/price?symbol=BTCUSDT")
    assert first == f'{{"stream":"btcusdt@miniTicker","data":{BITCOIN}}}'
    assert json.loads(second)["data"]["c"] == "85441.1"
    assert set(days) == {"BTCUSDT", "ETHUSDT"}
    assert price == {"symbol": "BTCUSDT", "price": "85441.1"}
    bitcoin = days["BTCUSDT"]
    assert (bitcoin["lastPrice"], bitcoin["openPrice"]) == ("85441.1", "87304.3500")
    # The stream of mini tickers does not have these fields.
    assert (bitcoin["bidPrice"], bitcoin["lastQty"]) == ("0.00000000", "0.00000000")


def test_kucoins_topic_of_a_symbol_and_its_rest_answers_have_what_was_recorded(
    tmp_path: Path,
) -> None:
    with running(*recording(tmp_path).exchanges()) as address:
        with connect(kucoin_url(address)) as client:
            topic = "/market/ticker:BTC-USDT"
            client.send(json.dumps({"id": "1", "type": "subscribe", "topic": topic}))
            text = next(each for each in texts(client) if '"message"' in each)
        level1 = get(address, "v1/market/orderbook/level1?symbol=BTC-USDT")["data"]
        (ticker,) = get(address, "v1/market/allTickers")["data"]["ticker"]
    assert text == KUCOIN.replace("/market/ticker:all", topic).replace(
        '"subject":"BTC-USDT"', '"subject":"trade.ticker"'
    )
    assert level1 == json.loads(KUCOIN)["data"]
    assert (ticker["symbol"], ticker["last"], ticker["buy"]) == ("BTC-USDT", "85439.50", "85439")
    assert (ticker["high"], ticker["vol"], ticker["changeRate"]) == (None, None, None)


def test_there_is_no_stream_of_books_in_a_recording(tmp_path: Path) -> None:
    with (
        running(*recording(tmp_path).exchanges()) as address,
        connect(f"ws://{address}/ws") as client,
    ):
        request = {"method": "SUBSCRIBE", "params": ["btcusdt@bookTicker"], "id": 1}
        client.send(json.dumps(request))
        assert json.loads(text_of(client))["error"]["msg"] == "Invalid request: invalid stream"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"topic" : "/market/ticker:all","subject":"A-B","data":{"topic":"x","n":1.10}}',
            '{"topic" : "/market/ticker:A-B","subject":"trade.ticker","data":{"topic":"x","n":1.10}}',
        ),
        ('{"subject":"A-B","data":{}}', '{"subject":"trade.ticker","data":{}}'),
    ],
)
def test_only_topic_and_subject_of_a_recorded_ticker_change(text: str, expected: str) -> None:
    assert of_one_symbol(text, "/market/ticker:A-B") == expected
