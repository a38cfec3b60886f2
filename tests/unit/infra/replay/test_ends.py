"""Test the faults that end a connection or its data, as seen by a client and by the ledger."""

import json
import socket
import struct
import time
from typing import Any

import pytest
import websocket
from websockets.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
)
from websockets.sync.client import connect

from infra.replay.faults.faults import (
    Close,
    Drop,
    HalfFrame,
    NoData,
    Shutdown,
    Silence,
)
from tests.support.ledger import Ledger
from tests.support.replay_exchange import clear, inflict
from tests.support.small_exchange import (
    EXCHANGES,
    STREAM,
    SUBSCRIBE,
    ended,
    is_data,
    last_of,
    subscribed,
    text_of,
    texts_of,
    until_the_end,
    url_of,
)
from tests.support.waiting import DEADLINE

pytestmark = pytest.mark.long


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("frames", [0, 7])
def test_drop_ends_a_connection_after_a_number_of_frames_without_a_close_frame(
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


START_OF_FRAME = b"\x81\x7e"
"""First two bytes of an unfragmented text frame whose length is in the next two."""


class Recorder(socket.socket):
    """Socket that records the received bytes."""

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
    half = recorder.received[recorder.received.rindex(START_OF_FRAME) :]
    (size,) = struct.unpack("!H", half[2:4])
    assert len(half) == (4 + size) // 2


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_close_ends_a_connection_after_a_number_of_frames_with_a_close_frame(
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


def test_all_that_was_written_arrives_before_an_orderly_close(address: str, ledger: Ledger) -> None:
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
        inflict(address, exchange, Silence(), "open")
        end = time.monotonic() + DEADLINE
        with pytest.raises(TimeoutError):
            while time.monotonic() < end:
                client.recv(timeout=0.5)
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
            assert client.ping().wait(timeout=DEADLINE)
    assert ended(ledger, "kucoin").frames == []


def test_without_data_binance_goes_on_with_pings(address: str, ledger: Ledger) -> None:
    inflict(address, "binance", NoData(after_frames=1))
    client: Any = websocket.create_connection(f"ws://{address}{STREAM}", timeout=DEADLINE)
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
        inflict(address, "binance", Shutdown(lead=0.2), "open")
        texts, closed = until_the_end(client)
    [announced] = [at for at, text in enumerate(texts) if not is_data("binance", text)]
    announcement = json.loads(texts.pop(announced))
    assert announcement["e"] == "serverShutdown"
    assert announcement["E"] == pytest.approx(time.time_ns() // 1_000_000, abs=5_000)
    assert texts[announced:]
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
