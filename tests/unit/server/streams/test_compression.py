"""Messages that are compressed once for all clients."""

import json
import zlib
from collections.abc import Iterable

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.streams import StreamReader

from server.streams.message import GZIP_HEADER, LARGE, SMALLEST_COMPRESSED, Message
from server.streams.stream import accepts_gzip


def message(number: int, rows: int = 100) -> Message:
    prices = [{"symbol": f"S{row}", "price": str(number * row)} for row in range(rows)]
    return Message(f"e-{number}", json.dumps({"type": "changes", "prices": prices}))


def sizes(messages: Iterable[Message]) -> list[int]:
    return [len(each.frame) for each in messages]


def inflated(frames: Iterable[bytes]) -> list[str]:
    """Return the texts of frames as a client with permessage-deflate reads them."""
    extension = ClientPerMessageDeflateFactory(server_no_context_takeover=True)
    inflate = extension.process_response_params([("server_no_context_takeover", None)], [])
    texts = []
    for data in frames:
        reader = StreamReader()
        reader.feed_data(data)
        parsing = Frame.parse(reader.read_exact, mask=False, max_size=None, extensions=[inflate])
        with pytest.raises(StopIteration) as parsed:
            next(parsing)
        texts.append(bytes(parsed.value.value.data).decode())
    return texts


def test_each_frame_inflates_whatever_came_before_it() -> None:
    messages = [message(number, rows=number * 300) for number in range(1, 6)]
    assert min(sizes(messages)) < LARGE < max(sizes(messages))
    # As a slow client gets them: some are left out.
    for chosen in (messages, messages[::2], messages[3:]):
        # The header of a frame of 126 to 65,535 bytes has 4 bytes.
        expected = [json.loads(each.frame[4:]) for each in chosen]
        assert [json.loads(text) for text in inflated(m.deflated_frame for m in chosen)] == expected


def test_a_large_message_is_a_fraction_of_its_size_and_a_small_one_stays_as_it_is() -> None:
    large, small = message(1, rows=5_000), Message("e-1", json.dumps({"type": "heartbeat"}))
    assert len(large.deflated_frame) < len(large.frame) / 3
    assert len(small.frame) < SMALLEST_COMPRESSED
    assert small.deflated_frame is small.frame


def test_events_of_any_messages_make_one_gzip_stream() -> None:
    messages = [message(number, rows=number * 300) for number in range(6)]
    assert min(sizes(messages)) < LARGE < max(sizes(messages))
    for chosen in (messages, messages[::2], messages[4:]):
        decoder = zlib.decompressobj(wbits=31)
        assert decoder.decompress(GZIP_HEADER) == b""
        for each in chosen:
            size, _, rest = each.deflated_chunk.partition(b"\r\n")
            block = rest.removesuffix(b"\r\n")
            assert len(block) == int(size, 16)
            # Each event is complete when its chunk has arrived.
            assert decoder.decompress(block) == each.event


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("identity", False),
        ("gzip", True),
        ("br, GZIP;q=0.1", True),
        ("gzip;q=0, deflate", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.", False),
        ("gzip;q=0.001", True),
        ("gzip;q=1.0", True),
        ("deflate, zstd", False),
        ("gzip;\tq=0", False),
        ("*", True),
        ("br, *;q=0.5", True),
        ("*;q=0", False),
        ("*, gzip;q=0", False),
    ],
)
def test_gzip_is_used_where_it_is_accepted(header: str, expected: bool) -> None:
    assert accepts_gzip(header) is expected
