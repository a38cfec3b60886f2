from datetime import UTC, datetime, timedelta
from typing import Any

from server.rest.filled import is_backfilled
from server.rest.status import exchange_status
from server.state.interruptions import Interruption
from tests.support.live_job import price

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def interruption(start: datetime, end: datetime | None, reason: str = "silence") -> Interruption:
    return Interruption(exchange="kucoin", start=start, end=end, reason=reason)


SHORT = interruption(NOON - 30 * MINUTE, NOON - 30 * MINUTE + SECOND)
LONG = interruption(NOON - 20 * MINUTE, NOON - 10 * MINUTE)
OTHER = interruption(NOON - 9 * MINUTE, NOON - 8 * MINUTE)
ONGOING = interruption(NOON - MINUTE, None)


def status(interruptions: list[Interruption], filled: dict[Interruption, int]) -> dict[str, Any]:
    by_start = {("kucoin", each.start): count for each, count in filled.items()}
    newest = price("kucoin", "A-B", "1", received_at=NOON - SECOND)
    found = exchange_status("kucoin", newest, 12.5, interruptions, 7, by_start, NOON)
    return found.model_dump(mode="json", by_alias=True)


def test_interruptions_are_shown_newest_first_with_whether_they_are_filled() -> None:
    found = status([LONG, OTHER, ONGOING], {LONG: 7, OTHER: 6})

    assert found["interruptions"] == [
        {"from": "2025-03-28T11:59:00.000000Z", "to": None, "reason": "silence", "filled": None},
        {
            "from": "2025-03-28T11:51:00.000000Z",
            "to": "2025-03-28T11:52:00.000000Z",
            "reason": "silence",
            "filled": False,
        },
        {
            "from": "2025-03-28T11:40:00.000000Z",
            "to": "2025-03-28T11:50:00.000000Z",
            "reason": "silence",
            "filled": True,
        },
    ]


def test_the_pairs_filled_in_all_interruptions_are_those_of_the_least_filled_one() -> None:
    assert status([LONG, OTHER, ONGOING], {LONG: 7, OTHER: 6})["filled_pairs"] == 6


def test_an_interruption_for_which_nothing_is_requested_leaves_no_pair_unfilled() -> None:
    assert status([SHORT], {})["filled_pairs"] == 7
    assert status([], {})["filled_pairs"] == 7


def test_candles_are_requested_after_a_start_and_for_a_minute_or_more() -> None:
    assert is_backfilled(SECOND, "start")
    assert is_backfilled(SECOND, "start; refused: handshake answered 429")
    assert is_backfilled(MINUTE, "silence")
    assert not is_backfilled(59 * SECOND, "silence")
    assert not is_backfilled(59 * SECOND, None)


def test_an_exchange_without_a_price_has_no_age() -> None:
    found = exchange_status("kucoin", None, None, [], 0, {}, NOON)

    assert (found.title, found.simulated, found.age_seconds) == ("KuCoin", None, None)
    assert (found.ticks_per_second, found.pairs, found.filled_pairs) == (None, 0, 0)
