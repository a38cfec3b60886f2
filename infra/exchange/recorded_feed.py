"""Recorded frames as a feed."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from infra.exchange.feed import Feed, Subscribers
from infra.exchange.recorded_frames import RecordedFrame
from infra.exchange.timeline import Timeline

log = logging.getLogger(__name__)

# Read at once, while what was read before is sent: some 4,000 frames of KuCoin, ten of Binance.
READ_CHARACTERS = 1_000_000


class RecordedFeed(Feed):
    """Once the timeline has begun it goes on, as an exchange does, whoever listens."""

    def __init__(self, exchange: str, frames: Iterator[RecordedFrame], timeline: Timeline) -> None:
        """To take a frame may block."""
        self._exchange = exchange
        self._frames = frames
        self._timeline = timeline

    def snapshot(self) -> Sequence[str]:
        """None: what is sent is what was recorded."""
        return ()

    async def run(self, subscribers: Subscribers) -> None:
        """Returns at the end of the recording. Raises OSError when an object can't be had."""
        reading = self._read()
        await self._timeline.begin(subscribers)
        count = 0
        while frames := await reading:
            reading = self._read()
            await self._send(frames, subscribers)
            count += len(frames)
        log.info("%s: the recording is over after %d frames", self._exchange, count)

    def _read(self) -> asyncio.Future[list[RecordedFrame]]:
        return asyncio.get_running_loop().run_in_executor(None, take, self._frames, READ_CHARACTERS)

    async def _send(self, frames: Sequence[RecordedFrame], subscribers: Subscribers) -> None:
        """Each when it is due; those that are due by now together."""
        clock = asyncio.get_running_loop().time
        due_by_now: list[str] = []
        for received_at, text in frames:
            wait = self._timeline.due(received_at) - clock()
            if wait > 0:
                subscribers.broadcast(due_by_now)
                due_by_now = []
                await asyncio.sleep(wait)
            due_by_now.append(text)
        subscribers.broadcast(due_by_now)


def take(frames: Iterator[RecordedFrame], characters: int) -> list[RecordedFrame]:
    """The next ones, until they are that long."""
    taken: list[RecordedFrame] = []
    while characters > 0 and (frame := next(frames, None)):
        taken.append(frame)
        characters -= len(frame.text)
    return taken
