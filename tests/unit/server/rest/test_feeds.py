from datetime import UTC, datetime, timedelta

from server.rest.feed_days import DAY
from server.rest.feed_times import Span
from server.rest.feeds import by_exchange, feed, shown_days
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

    result = feed("kucoin", prices, 7, UNREADABLE, [], [], [], NOON)

    assert (result.newest_price_at, result.age_seconds) == (NOON - 2 * SECOND, 2)
    assert (result.endpoint, result.simulated, result.symbols) == ("127.0.0.1", True, 3)
    assert result.unreadable == UNREADABLE


def test_a_feed_without_a_price_has_no_age() -> None:
    result = feed("kucoin", [], 0, None, [], [], [], NOON)

    assert (result.newest_price_at, result.age_seconds) == (None, None)
    assert (result.endpoint, result.simulated, result.symbols) == (None, None, 0)
    assert result.unreadable is None


def test_the_ongoing_interruption_has_a_field_of_its_own() -> None:
    rows = [
        ("kucoin", "h", "interruption", "silence", NOON - SECOND, None, 0),
        ("kucoin", "h", "connection", "reset", NOON - 9 * SECOND, NOON, 7),
    ]
    ongoing, connection = by_exchange(rows)["kucoin"]

    result = feed("kucoin", [], 0, None, [ongoing], [connection], [], NOON)

    assert result.interruption == ongoing
    assert result.events == [connection]
    assert (ongoing.start, ongoing.end) == (NOON - SECOND, None)
    assert (connection.end, connection.frames) == (NOON, 7)


def test_a_week_is_shown_unless_another_start_is_given_and_at_most_92_days() -> None:
    assert shown_days(None, NOON) == Span(NOON - 7 * DAY, NOON)
    assert shown_days(NOON - 30 * DAY, NOON) == Span(NOON - 30 * DAY, NOON)
    assert shown_days(NOON - 365 * DAY, NOON) == Span(NOON - 92 * DAY, NOON)
