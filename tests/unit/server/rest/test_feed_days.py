from datetime import UTC, datetime, timedelta

import pytest

from server.rest.feed_days import days_of
from server.rest.feed_times import FeedSpan, Span, times_of, unreported_ends

DAY = datetime(2025, 3, 28, tzinfo=UTC)
NOW = DAY + timedelta(days=2)


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def connection(
    start: float, end: float | None, exchange: str = "kucoin", latest_end: float | None = None
) -> FeedSpan:
    return FeedSpan(exchange, "connection", at(start), at_or_none(end), at_or_none(latest_end))


def interruption(start: float, end: float | None, latest_end: float | None = None) -> FeedSpan:
    return FeedSpan("kucoin", "interruption", at(start), at_or_none(end), at_or_none(latest_end))


def at_or_none(hour: float | None) -> datetime | None:
    return None if hour is None else at(hour)


def condition(*events: FeedSpan, now: datetime = NOW) -> tuple[str, float]:
    [day] = days_of(times_of("kucoin", events, {}, now), Span(DAY, at(24)), now)
    assert day.day == DAY.date()
    return day.condition, day.missing_seconds


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([connection(-1, 25)], ("complete", 0)),
        ([connection(-1, None)], ("complete", 0)),
        # A rotation: two connections overlap.
        ([connection(-1, 12), connection(11, 30)], ("complete", 0)),
        ([connection(-1, 12), connection(12.5, 30)], ("holes", 1800)),
        # An interruption and the span without a connection are one hole.
        ([connection(-1, 12), interruption(11.75, 12.75), connection(12.5, 30)], ("holes", 3600)),
        ([connection(-1, 30), interruption(-1, 0.5)], ("holes", 1800)),
        ([connection(-1, 30), interruption(30, 31)], ("complete", 0)),
        # The end of the first interruption was not reported.
        (
            [connection(-1, 30), interruption(1, None, latest_end=2), interruption(2, 3)],
            ("holes", 7200),
        ),
        ([connection(23, None)], ("holes", 23 * 3600)),
        ([interruption(-1, None)], ("missing", 24 * 3600)),
        ([connection(-1, 30, "binance")], ("missing", 24 * 3600)),
        ([], ("missing", 24 * 3600)),
    ],
)
def test_a_day_is_complete_or_has_holes_or_is_missing(
    events: list[FeedSpan], expected: tuple[str, float]
) -> None:
    assert condition(*events) == expected


def test_today_counts_as_far_as_it_has_passed() -> None:
    assert condition(connection(-1, None), now=at(1)) == ("complete", 0)
    assert condition(connection(0.5, None), now=at(1)) == ("holes", 1800)
    assert condition(now=at(1)) == ("missing", 3600)
    assert days_of(times_of("kucoin", [], {}, at(1)), Span(at(24), at(48)), at(1)) == []


def test_a_connection_without_an_end_lasts_until_its_last_candle() -> None:
    events = [connection(-1, None, latest_end=12), connection(12, 30), connection(12, 30, "lumen")]
    killed = unreported_ends(events)
    assert killed == [("kucoin", Span(at(-1), at(12)))]

    def missing(last: datetime | None) -> float:
        found = {("kucoin", at(-1)): last}
        return days_of(times_of("kucoin", events, found, NOW), Span(DAY, at(24)), NOW)[
            0
        ].missing_seconds

    assert missing(at(11.9)) == 6 * 60 - 60
    assert missing(None) == 12 * 3600


def test_a_span_has_each_day_that_it_touches() -> None:
    days = days_of(
        times_of("kucoin", [connection(-50, None)], {}, NOW), Span(at(-1), at(24.5)), NOW
    )

    assert [str(day.day) for day in days] == ["2025-03-27", "2025-03-28", "2025-03-29"]
