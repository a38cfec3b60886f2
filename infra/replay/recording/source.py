"""Publish recorded frames as a source."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence

from infra.replay.recording.frames import RecordedFrame, RecordedItem
from infra.replay.recording.timeline import Timeline
from infra.replay.recording.updates import RecordedUpdate
from infra.replay.source import PricedCandle, Source
from infra.replay.streams import Subscriptions, Update

log = logging.getLogger(__name__)

READ_CHARACTERS = 1_000_000
"""Characters per read, some 4,000 frames of KuCoin or ten of Binance. Each read overlaps with sending
the previous one."""


class RecordedSource(Source):
    """Once the timeline has begun, the feed continues even without subscribers, as an exchange does."""

    def __init__(
        self,
        exchange: str,
        frames: Iterator[RecordedFrame],
        timeline: Timeline,
        update: Callable[[Sequence[RecordedFrame]], RecordedUpdate],
    ) -> None:
        """Taking an item from `frames` may block."""
        self._exchange = exchange
        self._frames = frames
        self._timeline = timeline
        self._update = update
        self._newest: dict[str, RecordedItem] = {}

    def serves(self, stream: str) -> bool:
        return self._update([]).serves(stream)

    def greeting(self, stream: str) -> Sequence[str]:
        """Return nothing: a recording is sent as it was received, without additions."""
        return ()

    def candles(self, symbol: str, interval: str, start: int, end: int) -> Sequence[PricedCandle]:
        """Return nothing: a recording has no candles."""
        return ()

    def state(self) -> Update:
        return self._update([RecordedFrame(0, "", tuple(self._newest.values()))])

    async def run(self, subscriptions: Subscriptions) -> None:
        """Play the recording to its end. Raise OSError if an object can't be read."""
        reading = self._read()
        await self._timeline.begin(subscriptions)
        count = 0
        while frames := await reading:
            reading = self._read()
            await self._send(frames, subscriptions)
            count += len(frames)
        log.info("%s: recording ended frames=%d", self._exchange, count)

    def _read(self) -> asyncio.Future[list[RecordedFrame]]:
        return asyncio.get_running_loop().run_in_executor(None, take, self._frames, READ_CHARACTERS)

    async def _send(self, frames: Sequence[RecordedFrame], subscriptions: Subscriptions) -> None:
        """Publish each frame when it is due. Frames that are already due are published together."""
        clock = asyncio.get_running_loop().time
        due_by_now: list[RecordedFrame] = []
        for frame in frames:
            wait = self._timeline.due(frame.received_at) - clock()
            if wait > 0:
                self._publish(due_by_now, subscriptions)
                due_by_now = []
                await asyncio.sleep(wait)
            due_by_now.append(frame)
        self._publish(due_by_now, subscriptions)

    def _publish(self, frames: Sequence[RecordedFrame], subscriptions: Subscriptions) -> None:
        if frames:
            update = self._update(frames)
            self._newest.update({symbol: items[-1] for symbol, items in update.items.items()})
            subscriptions.publish(update)


def take(frames: Iterator[RecordedFrame], characters: int) -> list[RecordedFrame]:
    """Return the next frames, with at least `characters` in total unless the recording ends."""
    taken: list[RecordedFrame] = []
    while characters > 0 and (frame := next(frames, None)):
        taken.append(frame)
        characters -= len(frame.text)
    return taken
