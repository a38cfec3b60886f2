"""Compute a value at most once a minute for all requests."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

Value = TypeVar("Value")


def minute_of(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


class OnceAMinute(Generic[Value]):
    """The value of the current minute, by the server's clock.

    Requests that arrive while it is computed wait for the same computation, even if the next minute has
    begun. The computation goes on if one of them is cancelled; if it fails, the next request repeats it.
    """

    def __init__(self, compute: Callable[[datetime, Value | None], Awaitable[Value]]) -> None:
        """`compute` gets the time of the request that needs the value, and the last value, if any."""
        self._compute = compute
        self._last: Value | None = None
        self._minute: datetime | None = None
        self._value: asyncio.Future[Value] | None = None

    async def value(self, now: datetime | None = None) -> Value:
        """Return the value. Raise what `compute` raised."""
        now = now or datetime.now(UTC)
        if self._value is None or (
            self._value.done() and (self._minute != minute_of(now) or _failed(self._value))
        ):
            self._minute = minute_of(now)
            self._value = asyncio.ensure_future(self._next(now))
        return await asyncio.shield(self._value)

    async def _next(self, now: datetime) -> Value:
        self._last = await self._compute(now, self._last)
        return self._last


def _failed(done: asyncio.Future[Value]) -> bool:
    return done.cancelled() or done.exception() is not None
