import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from server.rest.once_a_minute import OnceAMinute

NOON = datetime(2025, 3, 28, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


async def own_time(now: datetime, before: datetime | None) -> datetime:
    await asyncio.sleep(0)
    return now


def test_a_value_is_computed_again_in_the_next_minute() -> None:
    async def values() -> list[datetime]:
        once = OnceAMinute(own_time)
        return [await once.value(NOON + seconds * SECOND) for seconds in (0, 59, 60, 61)]

    next_minute = NOON + MINUTE
    assert asyncio.run(values()) == [NOON, NOON, next_minute, next_minute]


def test_concurrent_requests_share_one_computation() -> None:
    async def values() -> list[datetime]:
        once = OnceAMinute(own_time)
        return await asyncio.gather(*(once.value(NOON + n * MINUTE) for n in range(3)))

    assert asyncio.run(values()) == [NOON] * 3


def test_a_cancelled_request_does_not_end_the_computation_for_others() -> None:
    async def value() -> datetime:
        once = OnceAMinute(own_time)
        first = asyncio.create_task(once.value(NOON))
        second = asyncio.create_task(once.value(NOON + SECOND))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(value()) == NOON


def test_a_failed_computation_is_repeated_for_the_next_request() -> None:
    async def computed(now: datetime, before: datetime | None) -> datetime:
        if now == NOON:
            raise ConnectionError
        return now

    async def value() -> datetime:
        once = OnceAMinute(computed)
        with pytest.raises(ConnectionError):
            await once.value(NOON)
        return await once.value(NOON + SECOND)

    assert asyncio.run(value()) == NOON + SECOND


def test_a_computation_gets_the_last_value() -> None:
    async def counted(now: datetime, before: int | None) -> int:
        if now == NOON + MINUTE:
            raise ConnectionError
        return (before or 0) + 1

    async def values() -> list[int]:
        once = OnceAMinute(counted)
        first = await once.value(NOON)
        with pytest.raises(ConnectionError):
            await once.value(NOON + MINUTE)
        return [first, await once.value(NOON + 2 * MINUTE)]

    assert asyncio.run(values()) == [1, 2]
