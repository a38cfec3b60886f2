"""Times in the parameters of requests."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

FIRST = datetime(2000, 1, 1, tzinfo=UTC)
"""The earliest time accepted."""
LAST = datetime(2100, 1, 1, tzinfo=UTC)
"""The latest time accepted."""


def parse_time(text: str) -> datetime:
    """Parse ISO 8601, such as 2025-03-28T07:37:28Z; the default zone is UTC. Raise ValueError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("expected ISO 8601, as in 2025-03-28T07:37:00Z") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def check_range(time: datetime) -> datetime:
    if not FIRST <= time <= LAST:
        raise ValueError(f"expected a time from {FIRST:%Y-%m-%d} to {LAST:%Y-%m-%d}")
    # Postgres rejects UTC offsets of 16 hours or more.
    return time.astimezone(UTC)


Time = Annotated[datetime, BeforeValidator(parse_time), AfterValidator(check_range)]


def end_after_start(end: datetime | None, others: ValidationInfo) -> datetime | None:
    """Return the end. Raise ValueError if it is not after the field `start`."""
    start = others.data.get("start")
    if start is not None and end is not None and end <= start:
        raise ValueError("expected a time after `from`")
    return end
