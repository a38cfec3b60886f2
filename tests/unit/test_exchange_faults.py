"""Each fault of the replay exchange, as a client and the ledger see it."""

import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
import requests
import websocket
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
)
from websockets.sync.client import ClientConnection, connect

from infra.exchange.binance import Binance
from infra.exchange.binance_frames import mini_ticker_array
from infra.exchange.coins import Coins
from infra.exchange.encoding import encode_frames
from infra.exchange.faults import (
    Close,
    Drop,
    Error,
    Fault,
    HalfFrame,
    NoAck,
    NoData,
    NoWelcome,
    RefuseSubscription,
    RefuseWelcome,
    Reorder,
    Repeat,
    Shutdown,
    Silence,
    TooManyRequests,
    Unauthorized,
    Unreadable,
)
from infra.exchange.kucoin import Kucoin
from infra.exchange.kucoin_frames import tickers
from infra.exchange.limits import BinanceLimits, KucoinLimits
from infra.exchange.market import Market
from infra.exchange.server import KUCOIN_PARTS
from infra.exchange.simulated_feed import SimulatedFeed
from infra.exchange.symbols import binance_listing, kucoin_listing, kucoin_trading
from tests.ledger import Identity, Ledger, Written
from tests.replay_exchange import clear, inflict, kucoin_url, running

EXCHANGES = ["binance", "kucoin"]
SUBSCRIBE = '{"id":"1","type":"subscribe","topic":"/market/ticker:all","response":true}'
STREAM = "/ws/!miniTicker@arr"


def exchanges(
    ledger: Ledger, binance: BinanceLimits | None = None, kucoin: KucoinLimits | None = None
) -> tuple[Binance, Kucoin]:
    """Of 20 symbols, with 50 arrays and 400 frames a second."""
    symbols = binance_listing()[:20]
    arrays = Market(symbols, Coins(symbols, 1), seed=1, period=0.02, changed=1, traded=1, now=0)
    listing = kucoin_listing()[:20]
    pairs = kucoin_trading(listing)
    frames = Market(pairs, Coins(pairs, 1), seed=1, period=0.05, changed=1, traded=1, now=0)
    return (
        Binance(SimulatedFeed(arrays, mini_ticker_array), symbols, symbols, binance, ledger),
        Kucoin(SimulatedFeed(frames, tickers, KUCOIN_PARTS), listing, kucoin, ledger),
    )


@pytest.fixture(scope="module")
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(scope="module")
def server(ledger: Ledger) -> Iterator[str]:
    with running(*exchanges(ledger, BinanceLimits(ping_interval=0.1))) as address:
        yield address


@pytest.fixture
def address(server: str) -> Iterator[str]:
    yield server
    for exchange in EXCHANGES:
        clear(server, exchange)
        with subscribed(server, exchange) as client:
            # Whatever happened to others, the next one is served.
            assert is_data(exchange, text_of(client))


def text_of(client: ClientConnection) -> str:
    return client.recv(timeout=5, decode=True)


def is_data(exchange: str, text: str) -> bool:
    frame = json.loads(text)
    return isinstance(frame, list) if exchange == "binance" else frame["type"] == "message"


def url_of(address: str, exchange: str) -> str:
    return f"ws://{address}{STREAM}" if exchange == "binance" else kucoin_url(address)


@contextmanager
def subscribed(address: str, exchange: str, **options: Any) -> Iterator[ClientConnection]:
    """A client to which nothing comes any more but data."""
    with connect(url_of(address, exchange), max_queue=None, **options) as client:
        if exchange == "kucoin":
            assert json.loads(text_of(client)) == {"id": "c1", "type": "welcome"}
            client.send(SUBSCRIBE)
            assert json.loads(text_of(client)) == {"id": "1", "type": "ack"}
        yield client


def until_the_end(client: ClientConnection) -> tuple[list[str], ConnectionClosed]:
    texts = []
    try:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            texts.append(text_of(client))
    except ConnectionClosed as closed:
        return texts, closed
    raise AssertionError("the connection did not end")


def last_of(ledger: Ledger, exchange: str) -> Written:
    return ledger.connections(exchange)[-1]


def ended(ledger: Ledger, exchange: str) -> Written:
    wait_until(lambda: last_of(ledger, exchange).ending is not None)
    return last_of(ledger, exchange)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def texts_of(written: Written) -> list[str | None]:
    return [frame.text for frame in written.frames]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("frames", [0, 7])
def test_drop_ends_a_connection_after_so_many_frames_without_a_close_frame(
    address: str, ledger: Ledger, exchange: str, frames: int
) -> None:
    with subscribed(address, exchange) as other:
        inflict(address, exchange, Drop(after_frames=frames))
        before = time.time_ns() // 1000
        with subscribed(address, exchange) as client:
            texts, closed = until_the_end(client)
        assert is_data(exchange, text_of(other))
        written = last_of(ledger, exchange)
    assert isinstance(closed, ConnectionClosedError)
    assert closed.rcvd is None
    assert len(texts) == frames
    assert texts_of(written) == texts
    assert (written.ending, written.reason) == ("broken", "drop")
    assert written.ended_at is not None
    times = [written.opened_at, *(f.written_at for f in written.frames), written.ended_at]
    assert times == sorted(times)
    assert before < times[0] < times[-1] < time.time_ns() // 1000


class Recorder(socket.socket):
    """Keeps what was received."""

    received = b""

    def recv(self, *size: int) -> bytes:
        received = super().recv(*size)
        self.received += received
        return received


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_half_frame_ends_a_connection_within_a_frame(
    address: str, ledger: Ledger, exchange: str
) -> None:
    inflict(address, exchange, HalfFrame(after_frames=3))
    host, _, port = address.partition(":")
    recorder = Recorder()
    recorder.connect((host, int(port)))
    with subscribed(address, exchange, sock=recorder) as client:
        texts, closed = until_the_end(client)
    assert isinstance(closed, ConnectionClosedError)
    assert closed.rcvd is None
    assert len(texts) == 3
    written = last_of(ledger, exchange)
    assert texts_of(written) == texts
    assert (written.ending, written.reason) == ("broken", "half_frame")
    half = recorder.received.partition(encode_frames(texts))[2]
    first, length, size = struct.unpack("!BBH", half[:4])
    assert (first, length) == (0x81, 126)
    assert len(half) == (4 + size) // 2


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_close_ends_a_connection_in_an_orderly_way_after_so_many_frames(
    address: str, ledger: Ledger, exchange: str
) -> None:
    inflict(address, exchange, Close(after_frames=5))
    with subscribed(address, exchange) as client:
        texts, closed = until_the_end(client)
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (1000, "close")
    assert len(texts) == 5
    assert texts_of(last_of(ledger, exchange)) == texts
    assert last_of(ledger, exchange).ending == "closed"


def test_all_that_was_written_arrives_before_an_orderly_close_however_late_it_is_read(
    address: str, ledger: Ledger
) -> None:
    inflict(address, "kucoin", Close(after_frames=200))
    with subscribed(address, "kucoin") as client:
        ended(ledger, "kucoin")
        texts, closed = until_the_end(client)
    assert isinstance(closed, ConnectionClosedOK)
    assert len(texts) == 200
    assert texts_of(last_of(ledger, "kucoin")) == texts


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_silence_is_a_handshake_and_nothing_more(
    address: str, ledger: Ledger, exchange: str
) -> None:
    inflict(address, exchange, Silence())
    with connect(url_of(address, exchange), close_timeout=0.1) as client:
        client.send(SUBSCRIBE)
        assert not client.ping().wait(timeout=0.1)
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)
        client.close()
        # 1006: the close was not answered.
        assert client.close_code == 1006
    assert ended(ledger, exchange).ending == "left"
    assert last_of(ledger, exchange).frames == []


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_an_open_connection_can_fall_silent_and_speak_again(address: str, exchange: str) -> None:
    with subscribed(address, exchange) as client:
        text_of(client)
        inflict(address, exchange, Silence(), "standing")
        with pytest.raises(TimeoutError):
            while True:
                client.recv(timeout=0.15)
        clear(address, exchange)
        assert is_data(exchange, text_of(client))


def test_without_data_kucoin_goes_on_with_welcome_ack_and_pongs(
    address: str, ledger: Ledger
) -> None:
    inflict(address, "kucoin", NoData())
    with subscribed(address, "kucoin") as client:
        for number in range(3):
            client.send(json.dumps({"id": str(number), "type": "ping"}))
            pong = json.loads(text_of(client))
            assert (pong["type"], pong["id"]) == ("pong", str(number))
            assert client.ping().wait(timeout=5)
    assert ended(ledger, "kucoin").frames == []


def test_without_data_binance_goes_on_with_pings(address: str, ledger: Ledger) -> None:
    inflict(address, "binance", NoData(after_frames=1))
    client: Any = websocket.create_connection(f"ws://{address}{STREAM}", timeout=5)
    opcodes = []
    for _ in range(4):
        opcode, frame = client.recv_data_frame(control_frame=True)
        opcodes.append(opcode)
        if opcode == websocket.ABNF.OPCODE_TEXT:
            text = frame.data.decode()
    client.close()
    ping = websocket.ABNF.OPCODE_PING
    assert opcodes == [websocket.ABNF.OPCODE_TEXT, ping, ping, ping]
    assert texts_of(ended(ledger, "binance")) == [text]


def test_binance_announces_its_shutdown_and_closes_later(address: str, ledger: Ledger) -> None:
    with subscribed(address, "binance") as client:
        inflict(address, "binance", Shutdown(lead=0.2), "standing")
        texts, closed = until_the_end(client)
    [announced] = [at for at, text in enumerate(texts) if not is_data("binance", text)]
    announcement = json.loads(texts.pop(announced))
    assert announcement["e"] == "serverShutdown"
    assert announcement["E"] == pytest.approx(time.time_ns() // 1_000_000, abs=5_000)
    assert len(texts[announced:]) > 3
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1001
    assert texts_of(last_of(ledger, "binance")) == texts
    assert last_of(ledger, "binance").ending == "closed"


def test_kucoin_shuts_down_unannounced(address: str, ledger: Ledger) -> None:
    inflict(address, "kucoin", Shutdown(after_frames=10, lead=0.1))
    with subscribed(address, "kucoin") as client:
        texts, closed = until_the_end(client)
    assert all(is_data("kucoin", text) for text in texts)
    assert len(texts) > 10
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1001
    assert texts_of(last_of(ledger, "kucoin")) == texts


def test_kucoin_refuses_with_401_at_the_handshake(address: str) -> None:
    inflict(address, "kucoin", Unauthorized())
    url = kucoin_url(address)
    with pytest.raises(InvalidStatus) as refused, connect(url):
        pass
    assert refused.value.response.status_code == 401
    assert json.loads(refused.value.response.body or b"") == {
        "code": "401",
        "msg": "token is invalid",
    }


def test_binance_refuses_with_401_at_the_handshake(address: str) -> None:
    inflict(address, "binance", Unauthorized())
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}{STREAM}"):
        pass
    assert refused.value.response.status_code == 401


def test_kucoin_says_in_milliseconds_when_to_ask_for_a_token_again(address: str) -> None:
    inflict(address, "kucoin", TooManyRequests(wait=2.5), 2)
    url = f"http://{address}/api/v1/bullet-public"
    for _ in range(2):
        answer = requests.post(url, timeout=5)
        assert answer.status_code == 429
        assert answer.json()["code"] == "429000"
        assert answer.headers["gw-ratelimit-reset"] == "2500"
        assert answer.headers["gw-ratelimit-remaining"] == "0"
    assert requests.post(url, timeout=5).status_code == 200


def test_binance_says_in_seconds_when_to_connect_again(address: str) -> None:
    inflict(address, "binance", TooManyRequests(wait=2.5))
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}{STREAM}"):
        pass
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "3"


def test_a_welcome_that_never_comes(address: str) -> None:
    inflict(address, "kucoin", NoWelcome())
    with connect(kucoin_url(address)) as client:
        client.send('{"id":"7","type":"ping"}')
        assert json.loads(text_of(client))["type"] == "pong"


def test_an_ack_that_never_comes_and_no_data_either(address: str) -> None:
    inflict(address, "kucoin", NoAck())
    with connect(kucoin_url(address)) as client:
        assert json.loads(text_of(client))["type"] == "welcome"
        client.send(SUBSCRIBE)
        client.send('{"id":"7","type":"ping"}')
        assert json.loads(text_of(client))["type"] == "pong"
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_an_error_in_place_of_the_welcome(address: str) -> None:
    inflict(address, "kucoin", RefuseWelcome(code=401))
    with connect(kucoin_url(address)) as client:
        assert json.loads(text_of(client)) == {
            "id": "c1",
            "type": "error",
            "code": 401,
            "data": "token is invalid",
        }


@pytest.mark.parametrize(
    ("code", "problem"),
    [(404, "topic does not exist"), (509, "service busy, please retry later"), (999, "error 999")],
)
def test_an_error_in_place_of_the_ack(address: str, code: int, problem: str) -> None:
    inflict(address, "kucoin", RefuseSubscription(code=code))
    with connect(kucoin_url(address)) as client:
        text_of(client)
        client.send(SUBSCRIBE)
        error = {"id": "1", "type": "error", "code": code, "data": problem}
        assert json.loads(text_of(client)) == error
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_an_error_in_place_of_binances_data(address: str) -> None:
    inflict(address, "binance", RefuseSubscription(code=509))
    with connect(f"ws://{address}{STREAM}") as client:
        assert json.loads(text_of(client)) == {
            "error": {"code": 509, "msg": "Service is busy"},
            "id": None,
        }
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


@pytest.mark.parametrize(
    ("exchange", "error"),
    [
        (
            "kucoin",
            {"type": "error", "code": 509, "data": "service busy, please retry later"},
        ),
        ("binance", {"error": {"code": 509, "msg": "Service is busy"}, "id": None}),
    ],
)
def test_an_error_between_the_data(
    address: str, ledger: Ledger, exchange: str, error: object
) -> None:
    inflict(address, exchange, Error(code=509, after_frames=2))
    inflict(address, exchange, Close(after_frames=4))
    with subscribed(address, exchange) as client:
        texts, _ = until_the_end(client)
    assert json.loads(texts.pop(2)) == error
    assert texts_of(last_of(ledger, exchange)) == texts
    assert len(texts) == 4


def sent(address: str, ledger: Ledger, exchange: str, fault: Fault, frames: int) -> list[str]:
    """What a connection that suffers a fault is sent, so many frames."""
    inflict(address, exchange, fault)
    inflict(address, exchange, Close(after_frames=frames))
    with subscribed(address, exchange) as client:
        texts, _ = until_the_end(client)
    assert texts_of(last_of(ledger, exchange)) == texts
    assert len(texts) == frames
    return texts


def test_reorder_exchanges_neighbouring_frames_of_a_symbol(address: str, ledger: Ledger) -> None:
    sequences: dict[str, list[int]] = {}
    for text in sent(address, ledger, "kucoin", Reorder(every=7), 200):
        frame = json.loads(text)
        sequences.setdefault(frame["subject"], []).append(int(frame["data"]["sequence"]))
    swapped = 0
    for each in sequences.values():
        swapped += sum(later < earlier for earlier, later in pairwise(each))
        # None is missing: a swap undone, they grow by KuCoin's steps.
        steps = [later - earlier for earlier, later in pairwise(sorted(each))]
        assert all(1 <= step <= 33 for step in steps[:-1])
    assert swapped > 15


def test_reorder_swaps_two_of_binances_arrays(address: str, ledger: Ledger) -> None:
    texts = sent(address, ledger, "binance", Reorder(every=4), 9)
    times = [max(item["E"] for item in json.loads(text)) for text in texts]
    assert [sorted(times).index(at) for at in times] == [0, 1, 2, 4, 3, 5, 6, 8, 7]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_repeat_sends_each_nth_frame_twice(address: str, ledger: Ledger, exchange: str) -> None:
    disturbed = sent(address, ledger, exchange, Repeat(every=3), 8)
    assert disturbed[2] == disturbed[3]
    assert disturbed[6] == disturbed[7]
    assert len(set(disturbed)) == 6


def test_unreadable_frames_stand_between_the_good_ones(address: str, ledger: Ledger) -> None:
    disturbed = sent(address, ledger, "kucoin", Unreadable(every=2), 9)
    assert disturbed[2] == "unreadable 1"
    assert disturbed[5] == '{"type":"unknown","data":2}'
    assert disturbed[8] == "unreadable 3"
    assert identities(last_of(ledger, "kucoin"))[2::3] == disturbed[2::3]


def test_unreadable_elements_stand_among_the_good_ones(address: str, ledger: Ledger) -> None:
    disturbed = sent(address, ledger, "binance", Unreadable(every=2), 8)
    assert disturbed[2] == "unreadable 1"
    assert disturbed[5] == '{"e":"unknown","E":2}'
    array = json.loads(disturbed[7])
    assert array[-1] == "unreadable 3"
    assert all(item["e"] == "24hrMiniTicker" for item in array[:-1])
    known = [(item["s"], item["E"]) for item in array[:-1]]
    written = last_of(ledger, "binance").frames
    assert written[7].identities == (*known, '"unreadable 3"')
    assert written[5].identities == ('{"e":"unknown","E":2}',)


def identities(written: Written) -> list[Identity]:
    return [identity for frame in written.frames for identity in frame.identities]


def test_a_token_that_works_once_is_invalid_the_second_time() -> None:
    with running(*exchanges(Ledger(), kucoin=KucoinLimits(tokens_once=True))) as address:
        url = kucoin_url(address)
        with connect(url) as client:
            assert json.loads(text_of(client))["type"] == "welcome"
            with pytest.raises(InvalidStatus) as refused, connect(url):
                pass
        assert refused.value.response.status_code == 401
        with subscribed(address, "kucoin") as client:
            assert is_data("kucoin", text_of(client))


def test_a_connection_is_closed_at_the_end_of_its_lifetime_and_limits_are_told() -> None:
    ledger = Ledger(texts=False)
    limits = (
        BinanceLimits(connection_lifetime=0.2),
        KucoinLimits(connection_lifetime=0.2, ping_interval=0.25, ping_timeout=0.125),
    )
    with running(*exchanges(ledger, *limits)) as address:
        for exchange in EXCHANGES:
            began = time.monotonic()
            with subscribed(address, exchange) as client:
                texts, closed = until_the_end(client)
            assert time.monotonic() - began > 0.2
            assert isinstance(closed, ConnectionClosedOK)
            [written] = ledger.connections(exchange)
            assert (written.ending, written.reason) == ("closed", "connection lifetime")
            assert len(written.frames) == len(texts)
        bullet = requests.post(f"http://{address}/api/v1/bullet-public", timeout=5).json()
    [server] = bullet["data"]["instanceServers"]
    assert (server["pingInterval"], server["pingTimeout"]) == (250, 125)
    # Without the texts, what they were about is still known.
    last = json.loads(texts[-1])
    assert written.frames[-1].text is None
    assert identities(written)[-1] == (last["subject"], int(last["data"]["sequence"]))


def test_faults_of_one_kind_wait_in_a_queue_and_the_connection_after_has_none(
    address: str,
) -> None:
    for frames in (2, 4):
        inflict(address, "kucoin", Drop(after_frames=frames))
    for frames in (2, 4):
        with subscribed(address, "kucoin") as client:
            assert len(until_the_end(client)[0]) == frames
    with subscribed(address, "kucoin") as client:
        assert all(is_data("kucoin", text_of(client)) for _ in range(30))


def test_every_connection_suffers_until_the_fault_is_cleared(address: str) -> None:
    inflict(address, "binance", Drop(after_frames=1), "every")
    for _ in range(3):
        with subscribed(address, "binance") as client:
            assert len(until_the_end(client)[0]) == 1
    clear(address, "binance")
    with subscribed(address, "binance") as client:
        assert all(is_data("binance", text_of(client)) for _ in range(5))


def test_only_the_standing_connections_suffer_and_those_of_one_exchange(address: str) -> None:
    with (
        subscribed(address, "kucoin") as kucoin,
        subscribed(address, "binance") as one,
        subscribed(address, "binance") as two,
    ):
        inflict(address, "binance", Drop(), "standing")
        until_the_end(one)
        until_the_end(two)
        with subscribed(address, "binance") as later:
            assert is_data("binance", text_of(later))
        assert is_data("kucoin", text_of(kucoin))
