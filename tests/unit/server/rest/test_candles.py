from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from server.rest.candles import CandleQuery, bounds
from server.times import parse_time

NOW = datetime(2025, 3, 28, 7, 37, 28, 467000, UTC)


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2025, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "since", "until"),
    [
        # By default, up to and including the current, incomplete candle.
        ({"limit": "2"}, at(28, 7, 36), at(28, 7, 38)),
        ({"interval": "1d", "limit": "2"}, at(27), at(29)),
        ({"interval": "4h", "limit": "3"}, at(27, 20), at(28, 8)),
        # Candles that start at 09:00 or later and before 09:30.
        (
            {"interval": "15m", "from": "2025-03-28T09:00:00Z", "to": "2025-03-28T09:30:00Z"},
            at(28, 9),
            at(28, 9, 30),
        ),
        # A candle that starts before `from` is left out; one that starts before `to` is included whole.
        (
            {"interval": "15m", "from": "2025-03-28T09:00:01Z", "to": "2025-03-28T09:30:01Z"},
            at(28, 9, 15),
            at(28, 9, 45),
        ),
        (
            {"interval": "1h", "from": "2025-03-28T09:00:00+05:30"},
            at(28, 4),
            at(28, 8),
        ),
        ({"interval": "5m", "to": "2025-03-28", "limit": "12"}, at(27, 23), at(28)),
        # 28 March 2025 is a Friday.
        ({"interval": "1w", "limit": "2"}, at(17), at(31)),
        ({"interval": "90m", "limit": "1"}, at(28, 7, 30), at(28, 9)),
        ({"interval": "1440m", "limit": "1"}, at(28), at(29)),
    ],
)
def test_a_span_is_made_of_whole_candles(
    span: dict[str, str], since: datetime, until: datetime
) -> None:
    assert bounds(CandleQuery.model_validate(span), NOW) == (since, until)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-03-28T07:37:00Z", at(28, 7, 37)),
        ("2025-03-28T09:37:00+02:00", at(28, 7, 37)),
        ("2025-03-28 07:37", at(28, 7, 37)),
        ("2025-03-28", at(28)),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, time: datetime) -> None:
    assert parse_time(text) == time


def test_an_offset_that_postgres_rejects_is_converted_to_utc() -> None:
    span = CandleQuery.model_validate({"from": "2025-03-28T00:00:00-23:33"})

    assert str(span.start) == "2025-03-28 23:33:00+00:00"


@pytest.mark.parametrize(
    ("span", "parameter", "message"),
    [
        ({"from": "2025"}, "from", "expected ISO 8601"),
        ({"to": "1743147448467"}, "to", "expected ISO 8601"),
        # A plus sign that was not escaped in the URL.
        ({"from": "2025-03-28T07:37:00 02:00"}, "from", "expected ISO 8601"),
        ({"from": "1999-12-31T23:59:59Z"}, "from", "expected a time from 2000-01-01"),
        ({"from": "0001-01-01T00:00:00+14:00"}, "from", "expected a time from 2000-01-01"),
        ({"to": "9999-12-31T23:59:59-14:00"}, "to", "expected a time from 2000-01-01"),
        ({"from": "2025-03-28", "to": "2025-03-28"}, "to", "expected a time after `from`"),
        ({"interval": "7m"}, "interval", "expected an interval that divides a day, or 1w"),
        ({"interval": "2d"}, "interval", "expected an interval that divides a day, or 1w"),
        ({"interval": "2w"}, "interval", "expected an interval that divides a day, or 1w"),
        ({"interval": "0m"}, "interval", "String should match pattern"),
        ({"interval": "1M"}, "interval", "String should match pattern"),
        ({"limit": "0"}, "limit", "greater than or equal to 1"),
        ({"limit": "1001"}, "limit", "less than or equal to 1000"),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(
    span: dict[str, str], parameter: str, message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        CandleQuery.model_validate(span)

    (error,) = refused.value.errors()
    assert error["loc"] == (parameter,)
    assert message in error["msg"]
