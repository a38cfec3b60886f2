"""Test the events that follow from notices: connections, interruptions, rotations."""

import pytest

from exchanges.exchange import RawData, Received, UnreadableRawData
from extractors.receive.feed_events import FeedEvent, FeedEvents
from extractors.receive.notices import Ended, Frame, Opened

STARTED = 1_743_147_448_000_000
SILENCE_LIMIT = 15.0
HOST = "ws-api-spot.kucoin.com"
OTHER_HOST = "ws-api-spot-2.kucoin.com"

TICKER = RawData(b'{"subject":"CRO-USDT"}', "CRO-USDT", None)
UNREADABLE = UnreadableRawData(b"?")


class Feed:
    """FeedEvents of a feed, with times in seconds from the start."""

    def __init__(self) -> None:
        self._feed_events = FeedEvents("kucoin", STARTED, SILENCE_LIMIT)

    def start(self) -> list[FeedEvent]:
        return self._feed_events.start()

    def opened(self, connection: int, second: int, endpoint: str = HOST) -> list[FeedEvent]:
        return self._feed_events.opened(Opened(connection, at(second), endpoint))

    def frame(
        self,
        connection: int,
        second: int,
        *raw_data: Received,
        endpoint: str = HOST,
        doubled: bool = False,
    ) -> list[FeedEvent]:
        frame = Frame(connection, at(second), endpoint, list(raw_data or [TICKER]), size=100)
        return self._feed_events.frame(frame, doubled)

    def ended(self, connection: int, second: int, reason: str) -> list[FeedEvent]:
        cause = reason.partition(":")[0]
        return self._feed_events.ended(Ended(connection, at(second), cause, reason))


def at(second: int) -> int:
    return STARTED + second * 1_000_000


def event(
    kind: str,
    reason: str | None,
    start: int,
    end: int | None = None,
    frames: int = 0,
    endpoint: str | None = HOST,
) -> FeedEvent:
    return FeedEvent(
        "kucoin", endpoint, kind, reason, at(start), None if end is None else at(end), frames
    )


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def flowing(feed: Feed) -> Feed:
    """Connection 1 was opened in second 1, and its first ticker came in second 2."""
    feed.start()
    feed.opened(1, 1)
    feed.frame(1, 2)
    return feed


def test_process_begins_with_an_interruption_that_the_first_ticker_ends(feed: Feed) -> None:
    assert feed.start() == [event("interruption", "start", 0, endpoint=None)]
    assert feed.opened(1, 1) == [event("connection", None, 1)]
    assert feed.frame(1, 2) == [event("interruption", "start", 0, 2)]
    assert feed.frame(1, 3) == []


def test_what_can_not_be_read_ends_no_interruption(feed: Feed) -> None:
    feed.start()
    feed.opened(1, 1)
    assert feed.frame(1, 2, UNREADABLE) == []
    assert feed.frame(1, 3, UNREADABLE, TICKER) == [event("interruption", "start", 0, 3)]


def test_interruption_lasts_from_the_last_ticker_to_the_next_one(flowing: Feed) -> None:
    flowing.frame(1, 5)
    flowing.frame(1, 7, UNREADABLE)
    assert flowing.ended(1, 15, "silence: no ticker for 10 s") == [
        event("connection", "silence: no ticker for 10 s", 1, 15, frames=3),
        event("interruption", "silence: no ticker for 10 s", 5),
    ]
    assert flowing.opened(2, 16, OTHER_HOST) == [event("connection", None, 16, endpoint=OTHER_HOST)]
    assert flowing.frame(2, 17, endpoint=OTHER_HOST) == [
        event("interruption", "silence: no ticker for 10 s", 5, 17, endpoint=OTHER_HOST)
    ]


def test_tickers_far_apart_have_an_interruption_between_them(flowing: Feed) -> None:
    """The clock was set forward, or the process was paused: the connection did not end."""
    assert flowing.frame(1, 17) == []
    assert flowing.frame(1, 33) == [event("interruption", "silence: no ticker for 16 s", 17, 33)]
    assert flowing.frame(1, 34) == []
    assert flowing.frame(1, 3) == []


def test_attempts_that_never_opened_are_no_events(flowing: Feed) -> None:
    flowing.ended(1, 3, "closed: 1001")
    assert flowing.ended(2, 4, "unreadable: no token") == []
    assert flowing.ended(3, 5, "unreachable: ConnectionRefusedError") == []
    flowing.opened(4, 6)
    assert flowing.frame(4, 7) == [event("interruption", "closed: 1001", 2, 7)]


def test_refusal_during_an_interruption_publishes_it_again_once_for_each_reason(
    flowing: Feed,
) -> None:
    flowing.ended(1, 3, "closed: 1001")
    region = "refused: handshake answered 451: restricted location"
    assert flowing.ended(2, 4, region) == [event("interruption", f"closed: 1001; {region}", 2)]
    assert flowing.ended(3, 5, region) == []
    assert flowing.ended(4, 6, "unreachable: ConnectionRefusedError") == []
    assert flowing.ended(5, 7, region) == []
    busy = "refused: handshake answered 429"
    assert flowing.ended(6, 8, busy) == [event("interruption", f"closed: 1001; {busy}", 2)]
    flowing.opened(7, 9)
    assert flowing.frame(7, 10) == [event("interruption", f"closed: 1001; {busy}", 2, 10)]
    assert flowing.ended(7, 11, "closed: 1006")[1:] == [event("interruption", "closed: 1006", 10)]


def test_refusal_at_the_start_is_a_reason_of_the_first_interruption(feed: Feed) -> None:
    feed.start()
    assert feed.ended(1, 1, "refused: bullet-public answered 403") == [
        event("interruption", "start; refused: bullet-public answered 403", 0, endpoint=None)
    ]


def test_refusal_during_a_rotation_is_no_event(flowing: Feed) -> None:
    assert flowing.ended(2, 4, "refused: handshake answered 429") == []
    assert flowing.frame(1, 5) == []
    assert flowing.ended(1, 6, "closed: 1001")[1:] == [event("interruption", "closed: 1001", 5)]


def test_connection_without_a_ticker_begins_no_second_interruption(flowing: Feed) -> None:
    flowing.ended(1, 3, "closed: 1001")
    flowing.opened(2, 4)
    assert flowing.ended(2, 5, "unanswered: no ack within 10 s") == [
        event("connection", "unanswered: no ack within 10 s", 4, 5)
    ]
    flowing.opened(3, 6)
    assert flowing.frame(3, 7) == [event("interruption", "closed: 1001", 2, 7)]


def test_second_interruption_has_its_own_beginning_and_reason(flowing: Feed) -> None:
    flowing.ended(1, 3, "closed: 1001")
    flowing.opened(2, 4)
    flowing.frame(2, 5)
    assert flowing.ended(2, 6, "broken: reset") == [
        event("connection", "broken: reset", 4, 6, frames=1),
        event("interruption", "broken: reset", 5),
    ]


def test_rotation_lasts_from_the_first_ticker_of_the_new_one_to_the_end_of_the_old(
    flowing: Feed,
) -> None:
    assert flowing.opened(2, 10, OTHER_HOST) == [event("connection", None, 10, endpoint=OTHER_HOST)]
    assert flowing.frame(1, 11) == []
    assert flowing.frame(2, 12, endpoint=OTHER_HOST, doubled=True) == []
    assert flowing.frame(1, 12) == []
    assert flowing.frame(1, 13, doubled=True) == []
    assert flowing.frame(2, 13, endpoint=OTHER_HOST) == []
    assert flowing.ended(1, 14, "rotated: age: 82800 s") == [
        event("connection", "rotated: age: 82800 s", 1, 14, frames=4),
        event("rotation", "rotated: age: 82800 s", 12, 14, frames=2, endpoint=OTHER_HOST),
    ]
    assert flowing.ended(2, 20, "broken: reset") == [
        event("connection", "broken: reset", 10, 20, frames=2, endpoint=OTHER_HOST),
        event("interruption", "broken: reset", 13, endpoint=OTHER_HOST),
    ]


def test_doubles_of_one_rotation_do_not_count_in_the_next(flowing: Feed) -> None:
    flowing.opened(2, 10)
    flowing.frame(2, 11, doubled=True)
    flowing.ended(1, 12, "rotated: serverShutdown")
    flowing.opened(3, 20)
    flowing.frame(3, 21, doubled=True)
    flowing.frame(3, 22, doubled=True)
    assert flowing.ended(2, 23, "rotated: serverShutdown") == [
        event("connection", "rotated: serverShutdown", 10, 23, frames=1),
        event("rotation", "rotated: serverShutdown", 21, 23, frames=2),
    ]


def test_doubles_after_a_rotation_do_not_count_in_the_next(flowing: Feed) -> None:
    flowing.opened(2, 10)
    flowing.frame(2, 11)
    flowing.ended(1, 12, "rotated: serverShutdown")
    flowing.frame(2, 13, doubled=True)
    flowing.opened(3, 20)
    flowing.frame(3, 21, doubled=True)
    assert flowing.ended(2, 23, "rotated: serverShutdown") == [
        event("connection", "rotated: serverShutdown", 10, 23, frames=2),
        event("rotation", "rotated: serverShutdown", 21, 23, frames=1),
    ]


def test_doubles_beside_a_failed_successor_do_not_count_in_the_next_rotation(flowing: Feed) -> None:
    flowing.opened(2, 10)
    flowing.frame(2, 11)
    flowing.frame(1, 12, doubled=True)
    flowing.ended(2, 13, "broken: reset")
    flowing.opened(3, 20)
    flowing.frame(3, 21, doubled=True)
    assert flowing.ended(1, 23, "rotated: serverShutdown") == [
        event("connection", "rotated: serverShutdown", 1, 23, frames=2),
        event("rotation", "rotated: serverShutdown", 21, 23, frames=1),
    ]


def test_newer_connection_that_ends_first_is_neither_rotation_nor_interruption(
    flowing: Feed,
) -> None:
    flowing.opened(2, 10)
    flowing.frame(2, 11)
    assert flowing.ended(2, 12, "broken: reset") == [
        event("connection", "broken: reset", 10, 12, frames=1)
    ]
    assert flowing.frame(1, 13) == []
    assert flowing.ended(1, 14, "closed: 1001") == [
        event("connection", "closed: 1001", 1, 14, frames=2),
        event("interruption", "closed: 1001", 13),
    ]


def test_old_connection_that_ends_before_the_new_one_flows_begins_an_interruption(
    flowing: Feed,
) -> None:
    flowing.opened(2, 10)
    assert flowing.ended(1, 11, "closed: 1001") == [
        event("connection", "closed: 1001", 1, 11, frames=1),
        event("interruption", "closed: 1001", 2),
    ]
    assert flowing.frame(2, 12) == [event("interruption", "closed: 1001", 2, 12)]


def test_stop_begins_an_interruption_that_this_process_does_not_end(flowing: Feed) -> None:
    assert flowing.ended(1, 3, "stopped") == [
        event("connection", "stopped", 1, 3, frames=1),
        event("interruption", "stopped", 2),
    ]


def test_message_has_the_names_of_the_topic() -> None:
    assert event("connection", "closed: 1001", 1, 3, frames=7).message() == {
        "exchange": "kucoin",
        "endpoint": "ws-api-spot.kucoin.com",
        "kind": "connection",
        "reason": "closed: 1001",
        "from": 1_743_147_449_000_000,
        "to": 1_743_147_451_000_000,
        "frames": 7,
    }


def test_message_of_an_ongoing_event_has_no_end() -> None:
    assert event("interruption", "start", 0, endpoint=None).message() == {
        "exchange": "kucoin",
        "endpoint": None,
        "kind": "interruption",
        "reason": "start",
        "from": 1_743_147_448_000_000,
        "to": None,
        "frames": 0,
    }


def test_an_event_never_ends_before_its_start_even_if_the_clock_is_set_back(feed: Feed) -> None:
    feed.start()
    feed.opened(1, 1)
    assert feed.frame(1, -3600) == [event("interruption", "start", 0, 0)]
    feed.opened(2, 2)
    feed.frame(2, 3)
    assert feed.ended(1, -3500, "rotated: age") == [
        event("connection", "rotated: age", 1, 1, frames=1),
        event("rotation", "rotated: age", 3, 3),
    ]
    assert feed.ended(2, 4, "closed: 1001")[1:] == [event("interruption", "closed: 1001", 3)]
    feed.opened(3, 5)
    assert feed.frame(3, 1) == [event("interruption", "closed: 1001", 3, 3)]
