"""Find the minutes in which a feed was complete: only they are compared with the exchange's candles."""

from datetime import UTC, datetime, timedelta

from psycopg2.extensions import connection

from infra.compare_candles import complete_minutes
from tests.support.live_job import insert

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return the time this many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def complete(owner: connection, *events: tuple[str, float, float | None]) -> list[int]:
    """Return the complete minutes of the first ten after noon, with these events.

    The kind `start` is the interruption at an extractor's start.
    """
    rows = [
        (
            *("binance", None),
            *(("interruption", kind) if kind == "start" else (kind, None)),
            *(at(start), None if end is None else at(end), 0),
        )
        for kind, start, end in events
    ]
    insert(owner, "INSERT INTO feed_events VALUES %s", rows)
    values = {"exchange": "binance", "since": at(0), "until": at(10)}
    found = complete_minutes(owner, values)
    return sorted((minute - NOON) // timedelta(minutes=1) for minute in found)


def test_a_minute_is_complete_within_a_connection_and_without_an_interruption(
    owner: connection,
) -> None:
    events = (("connection", 1.5, 8.0), ("interruption", 4.5, 5.0))
    assert complete(owner, *events) == [2, 3, 5, 6, 7]


def test_an_interruption_whose_end_was_not_reported_lasts_until_the_next_one(
    owner: connection,
) -> None:
    events = (
        ("connection", -30, None),
        ("interruption", -20, None),
        ("interruption", -5, 2),
    )
    assert complete(owner, *events) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_minute_of_a_killed_connection_is_not_complete(owner: connection) -> None:
    """When it was killed is unknown; the next connection may have opened much later."""
    events = (("connection", -30, None), ("start", 5.2, 5.3), ("connection", 5.5, None))
    assert complete(owner, *events) == [6, 7, 8, 9]


def test_a_minute_of_a_connection_beside_its_successor_is_complete(owner: connection) -> None:
    events = (("connection", -30, None), ("connection", 5.5, 5.7))
    assert complete(owner, *events) == [*range(10)]
