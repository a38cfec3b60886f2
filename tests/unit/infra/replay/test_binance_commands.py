"""Test Binance's raw and combined streams, and the requests that a client sends on them."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

from infra.replay.market.symbols import binance_listing
from tests.support.ledger import Ledger
from tests.support.replay_exchange import running
from tests.support.small_exchange import exchanges, text_of, texts
from tests.support.waiting import DEADLINE, wait_for

pytestmark = pytest.mark.long

STREAM = "!miniTicker@arr"
SYMBOL = binance_listing()[0].symbol
ONE = f"{SYMBOL.lower()}@miniTicker"
BOOK = f"{SYMBOL.lower()}@bookTicker"


@pytest.fixture(scope="module")
def address(ledger: Ledger) -> Iterator[str]:
    """Run an exchange with 20 symbols and 50 arrays per second."""
    with running(*exchanges(ledger)) as address:
        yield address


def is_answer(message: Any) -> bool:
    return isinstance(message, dict) and ("result" in message or "error" in message)


def answer(client: ClientConnection, request: object) -> dict[str, Any]:
    """Send a request and return its answer. Skip data that arrives before it."""
    client.send(request if isinstance(request, str) else json.dumps(request))
    found: dict[str, Any] = next(m for m in map(json.loads, texts(client)) if is_answer(m))
    return found


def test_a_stream_can_be_subscribed_to_listed_and_left(address: str) -> None:
    with connect(f"ws://{address}/ws") as client:
        subscribe = {"method": "SUBSCRIBE", "params": [STREAM, ONE], "id": 1}
        assert answer(client, subscribe) == {"result": None, "id": 1}
        assert json.loads(text_of(client))
        listed = answer(client, {"method": "LIST_SUBSCRIPTIONS", "id": "a"})
        assert listed == {"result": [STREAM, ONE], "id": "a"}
        for number, stream in enumerate((STREAM, ONE)):
            unsubscribe = {"method": "UNSUBSCRIBE", "params": [stream], "id": number}
            assert answer(client, unsubscribe) == {"result": None, "id": number}
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_a_stream_that_was_not_subscribed_to_can_be_left(address: str) -> None:
    with connect(f"ws://{address}/ws/{STREAM}") as client:
        unsubscribe = {"method": "UNSUBSCRIBE", "params": [ONE], "id": 1}
        assert answer(client, unsubscribe) == {"result": None, "id": 1}
        listed = answer(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert listed == {"result": [STREAM], "id": 2}


def test_a_symbol_has_the_same_text_in_its_own_stream_and_in_the_array(address: str) -> None:
    with (
        connect(f"ws://{address}/ws/{STREAM}") as every,
        connect(f"ws://{address}/ws/{ONE}") as one,
    ):
        text = text_of(one)
        assert next(array for array in texts(every) if text in array).startswith("[")
    ticker = json.loads(text)
    assert list(ticker) == ["e", "E", "s", "c", "o", "h", "l", "v", "q"]
    assert ticker["s"] == SYMBOL


def test_a_book_ticker_has_the_best_bid_and_ask_with_eight_decimals(address: str) -> None:
    with connect(f"ws://{address}/ws/{BOOK}") as client:
        first, second = json.loads(text_of(client)), json.loads(text_of(client))
    assert list(first) == ["u", "s", "b", "B", "a", "A"]
    assert first["s"] == SYMBOL
    assert float(first["b"]) < float(first["a"])
    assert len(first["b"].partition(".")[2]) == 8
    assert first["u"] < second["u"]


def test_combined_streams_come_in_an_envelope_that_leaves_their_text_as_it_is(address: str) -> None:
    url = f"ws://{address}/stream?streams={STREAM}/{BOOK}"
    with connect(url) as combined, connect(f"ws://{address}/ws/{STREAM}") as raw:
        text = text_of(raw)
        envelope = f'{{"stream":"{STREAM}","data":{text}}}'
        assert next(each for each in texts(combined) if each == envelope)
        names = {json.loads(text_of(combined))["stream"] for _ in range(4)}
    assert names == {STREAM, BOOK}


def test_the_property_combined_is_read_and_changed(address: str) -> None:
    for path, is_combined in (("ws", False), ("stream", True), ("stream?streams=", True)):
        with connect(f"ws://{address}/{path}") as client:
            get = {"method": "GET_PROPERTY", "params": ["combined"], "id": 1}
            assert answer(client, get) == {"result": is_combined, "id": 1}
            change = {"method": "SET_PROPERTY", "params": ["combined", not is_combined], "id": 2}
            assert answer(client, change) == {"result": None, "id": 2}
            assert answer(client, get) == {"result": not is_combined, "id": 1}
            answer(client, {"method": "SUBSCRIBE", "params": [ONE], "id": 3})
            assert ("stream" in json.loads(text_of(client))) is not is_combined


def test_the_shutdown_is_announced_in_the_envelope_of_combined_streams() -> None:
    with ExitStack() as stack:
        with running(*exchanges(Ledger())) as address:
            client = stack.enter_context(connect(f"ws://{address}/stream?streams={ONE}"))
            text_of(client)
        with pytest.raises(ConnectionClosedOK):
            for text in texts(client):
                last = json.loads(text)
    assert last["stream"] == "!serverShutdown"
    assert last["data"]["e"] == "serverShutdown"


def test_a_symbol_that_does_not_exist_is_acknowledged_and_sends_nothing(address: str) -> None:
    with connect(f"ws://{address}/ws") as client:
        params = ["nosuch@miniTicker", ONE.upper().replace("MINITICKER", "miniTicker")]
        subscribe = {"method": "SUBSCRIBE", "params": params, "id": 1}
        assert answer(client, subscribe) == {"result": None, "id": 1}
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_names_in_the_address_that_are_unknown_are_ignored(address: str) -> None:
    """ccxt connects to /ws/0, and then subscribes."""
    with connect(f"ws://{address}/ws/0/{ONE}") as client:
        listed = answer(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert listed == {"result": [ONE], "id": 1}


@pytest.mark.parametrize(
    ("request_text", "code", "problem", "request_id"),
    [
        ('{"method":"SUBSCRIBE","params":["!nothing@arr"],"id":7}', 2, "invalid stream", 7),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":7}', 2, "invalid stream", 7),
        ('{"method":"SUBSCRIBE","params":[5],"id":7}', 2, "invalid stream", 7),
        ('{"method":"SUBSCRIBE","id":7}', 2, "missing field `params`", 7),
        ('{"method":"SUBSCRIB","params":[],"id":8}', 2, "unknown variant `SUBSCRIB`", 8),
        ('{"method":"LIST_SUBSCRIPTIONS","params":[1],"id":8}', 2, "too many parameters", 8),
        ('{"method":"GET_PROPERTY","params":["speed"],"id":8}', 0, "Unknown property", 8),
        ('{"method":"GET_PROPERTY","params":[],"id":8}', 2, "property name must be a string", 8),
        ('{"method":"GET_PROPERTY","params":[1],"id":8}', 2, "property name must be a string", 8),
        ('{"method":"GET_PROPERTY","params":["a",1],"id":8}', 2, "too many parameters", 8),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":8}', 1, "expected Boolean", 8),
        ('{"id":9}', 2, "missing field `method`", 9),
        ('{"method":"LIST_SUBSCRIPTIONS","id":1.5}', 2, "must be an unsigned integer", None),
        ('{"method":"LIST_SUBSCRIPTIONS","id":{}}', 2, "must be an unsigned integer", None),
        ('{"method":"LIST_SUBSCRIPTIONS","id":true}', 2, "must be an unsigned integer", None),
        (f'{{"method":"LIST_SUBSCRIPTIONS","id":"{37 * "a"}"}}', 2, "must be an unsigned", None),
        ("[]", 2, "missing field `method`", None),
        ("what", 3, "Invalid JSON: expected value at line 1 column 1", None),
    ],
)
def test_a_request_that_can_not_be_met_is_answered_by_an_error(
    address: str, request_text: str, code: int, problem: str, request_id: int | None
) -> None:
    with connect(f"ws://{address}/ws") as client:
        message = answer(client, request_text)
    assert message["id"] == request_id
    assert message["error"]["code"] == code
    assert problem in message["error"]["msg"]


def test_of_a_request_with_an_unknown_stream_none_is_subscribed_to(address: str) -> None:
    with connect(f"ws://{address}/ws") as client:
        subscribe = {"method": "SUBSCRIBE", "params": [ONE, "btcusdt@trade"], "id": 1}
        assert answer(client, subscribe)["error"]["code"] == 2
        listed = answer(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2})
    assert listed == {"result": [], "id": 2}


def test_a_connection_has_up_to_1024_streams(address: str) -> None:
    with connect(f"ws://{address}/ws") as client:
        names = [f"x{number}@miniTicker" for number in range(1024)]
        subscribe = {"method": "SUBSCRIBE", "params": names, "id": 1}
        assert answer(client, subscribe) == {"result": None, "id": 1}
        refused = answer(client, {"method": "SUBSCRIBE", "params": [ONE], "id": 2})
    assert refused["error"]["code"] == 2


def test_microseconds_are_refused_instead_of_being_made_up(address: str) -> None:
    url = f"http://{address}/ws/{STREAM}"
    assert requests.get(f"{url}?timeUnit=MICROSECOND", timeout=DEADLINE).status_code == 400
    with connect(f"ws://{address}/ws/{STREAM}?timeUnit=MILLISECOND") as client:
        assert text_of(client)


def test_after_the_connection_its_subscriptions_are_gone() -> None:
    binance, kucoin = exchanges(Ledger())
    subscriptions = binance._subscriptions  # noqa: SLF001
    with running(binance, kucoin) as address:
        with connect(f"ws://{address}/ws/{ONE}") as client:
            text_of(client)
            assert subscriptions
        wait_for(lambda: not subscriptions)
