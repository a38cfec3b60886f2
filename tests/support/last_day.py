"""Find the last 24 full hours, of which /api/last-day and the view `pairs` have figures."""

from datetime import UTC, datetime, timedelta

from tests.support.waiting import wait_for


def start_of_last_day() -> datetime:
    """Return the start of the last 24 full hours, which will not change for a minute."""
    now = wait_for(lambda: datetime.now(UTC), lambda now: now.minute < 59, deadline=90)
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=24)
