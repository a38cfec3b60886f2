from datetime import UTC, datetime, timedelta

from server.rest.feeds import by_exchange, feed
from server.state.unreadable import Unreadable
from tests.support.live_job import price

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
UNREADABLE = Unreadable(share=0.25, cause="price is absent")


def test_a_feed_is_as_old_as_its_newest_price() -> None:
    prices = [
        price("kucoin", "A", "1", received_at=NOON - 9 * SECOND, endpoint="ws-api-spot.kucoin.com"),
        price("kucoin", "B", "1", received_at=NOON - 2 * SECOND, endpoint="127.0.0.1"),
        price("kucoin", "C", "1", received_at=NOON - 5 * SECOND, endpoint="ws-api-spot.kucoin.com"),
    ]

    told = feed("kucoin", prices, UNREADABLE, [], [], NOON)

    assert (told.newest_price_at, told.age_seconds) == (NOON - 2 * SECOND, 2)
    assert (told.endpoint, told.simulated, told.symbols) == ("127.0.0.1", True, 3)
    assert told.unreadable == UNREADABLE


def test_a_feed_without_a_price_has_no_age() -> None:
    told = feed("kucoin", [], None, [], [], NOON)

    assert (told.newest_price_at, told.age_seconds) == (None, None)
    assert (told.endpoint, told.simulated, told.symbols) == (None, None, 0)
    assert told.unreadable is None


def test_an_interruption_that_goes_on_is_told_beside_the_events() -> None:
    rows = [
        ("kucoin", "h", "interruption", "silence", NOON - SECOND, None, 0),
        ("kucoin", "h", "connection", "reset", NOON - 9 * SECOND, NOON, 7),
    ]
    goes_on, connection = by_exchange(rows)["kucoin"]

    told = feed("kucoin", [], None, [goes_on], [connection], NOON)

    assert told.interruption == goes_on
    assert told.events == [connection]
    assert (goes_on.start, goes_on.end) == (NOON - SECOND, None)
    assert (connection.end, connection.frames) == (NOON, 7)
