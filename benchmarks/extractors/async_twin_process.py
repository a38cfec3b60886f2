"""Run an asyncio twin of KuCoin's extractor on one connection until SIGTERM, for measuring only.

    picows ─► journal ─┬─► follow ─► librdkafka ─► Kafka
                       └─► upload ─► landing/

It shares all of the extractor's code that does not use threads: session, duplicates, feed events,
journal, journal reader, batcher, messages and librdkafka's settings. Where the extractor has a thread,
the twin has a task on one uvloop. Once connected, only the metrics server and gzip run in threads: gzip
would block the socket for 0.1 s. Other parts of a real extractor, such as rotation, are omitted: they
would only make the twin slower.
"""

import asyncio
import logging
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.extractors.async_twin_socket import CONNECTION, Receiver, listen
from core.message import MAX_MESSAGE_BYTES
from core.s3_client import client_arguments
from core.settings import EXTRACTORS, Settings
from exchanges.kucoin import KUCOIN
from extractors.extractor import COLLECT_SHARE, MAX_ITEMS_PER_WRITE
from extractors.journal.journal import Journal
from extractors.journal.reader import JournalReader
from extractors.metrics import Metrics
from extractors.network.deadline import Deadline
from extractors.receive.duplicates import Duplicates
from extractors.receive.exchange_client import client_of
from extractors.receive.feed_events import FeedEvents
from extractors.receive.notices import Frame, Opened, Opening, now_us
from extractors.receive.open_socket import OPEN_LIMIT
from extractors.shutdown import Shutdown
from extractors.to_kafka.batcher import Batcher
from extractors.to_kafka.delivered import Delivered
from extractors.to_kafka.follower import READ_INTERVAL, SAVE_INTERVAL
from extractors.to_kafka.producer import Producer
from extractors.to_kafka.resume import begin
from extractors.to_landing.uploader import LOOK_INTERVAL

STOP_LIMIT = 7.0

CONFIG = AioConfig(
    request_checksum_calculation="when_required", response_checksum_validation="when_required"
)


class Twin:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = client_of(KUCOIN, settings)
        self._metrics = Metrics(KUCOIN.name)
        self._metrics.serve(settings.metrics_host, settings.exchanges[KUCOIN.name].metrics_port)
        folder = Path(settings.journal_dir) / KUCOIN.name
        self._journal = Journal(folder, settings.journal_limit_bytes)
        self._duplicates = Duplicates()
        self._feed_events = FeedEvents(KUCOIN.name, now_us(), KUCOIN.silence_limit)

    async def run(self) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self._feed_events.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._upload())
            try:
                await self._listen(stop)
            finally:
                self._journal.close()
        self._journal.unlock()

    async def _listen(self, stop: asyncio.Event) -> None:
        self._duplicates.opening(Opening(CONNECTION, now_us()))
        endpoint = await asyncio.to_thread(self._client.endpoint, Deadline(OPEN_LIMIT))
        self._feed_events.opened(Opened(CONNECTION, now_us(), endpoint.host))
        session = endpoint.session(time.monotonic())
        collect_seconds = self._client.batch_seconds * COLLECT_SHARE

        def receiver() -> Receiver:
            return Receiver(session, endpoint.host, collect_seconds, self._take)

        await listen(endpoint, receiver, self._client.silence_limit, stop)

    def _take(self, frames: list[Frame]) -> None:
        """Write the frames' items to the journal."""
        items: list[bytes] = []
        received = size = 0
        for frame in frames:
            first = self._duplicates.without(frame)
            self._feed_events.frame(frame, len(first.raw_data) < len(frame.raw_data))
            items += first.items()
            received += len(frame.raw_data)
            size += frame.size
        self._metrics.received(len(frames), size, received, received - len(items))
        for start in range(0, len(items), MAX_ITEMS_PER_WRITE):
            part = items[start : start + MAX_ITEMS_PER_WRITE]
            if self._journal.append(frames[0].endpoint, part, frames[0].at, time.monotonic()):
                self._metrics.refused.inc(len(part))
        self._journal.close_if_due(time.monotonic())

    async def _follow(self) -> None:
        """Send the journal to Kafka until it is closed and everything is delivered."""
        stop = Shutdown(STOP_LIMIT)
        delivered = Delivered.load(self._journal.folder, self._journal.id)
        producer = Producer(
            KUCOIN.name,
            self._settings,
            self._journal.id,
            delivered,
            set(),
            MAX_MESSAGE_BYTES,
            stop,
            self._metrics,
        )
        with closing(producer):
            partitions = producer.wait_for_topic() or 0
            delivered.set_partitions(partitions, self._journal.end)
            begin(KUCOIN.raw_topic, self._settings, delivered)
            batcher = Batcher(self._client.batch_seconds)
            save_at = 0.0
            with closing(JournalReader(self._journal, 0, KUCOIN.symbol_of)) as reader:
                while True:
                    # Check before reading: if a closed journal has no further line, all was read.
                    is_closed = self._journal.is_closed
                    lines = reader.read()
                    now = time.monotonic()
                    for batch in batcher.add(lines, now):
                        producer.send(batch, {})
                        # Yield, so that the socket is read between two batches.
                        await asyncio.sleep(0)
                    producer.poll()
                    self._journal.delivered = delivered.position
                    if now >= save_at:
                        save_at = now + SAVE_INTERVAL
                        with suppress(OSError):
                            delivered.save(self._journal.folder)
                    if is_closed and not lines:
                        break
                    await asyncio.sleep(READ_INTERVAL)
            for batch in batcher.flush():
                producer.send(batch, {})
            stop.request()
            producer.flush()
            self._journal.delivered = delivered.position

    async def _upload(self) -> None:
        """Upload closed segments until the journal is closed and everything is uploaded."""
        arguments = client_arguments(self._settings)
        async with get_session().create_client("s3", **arguments, config=CONFIG) as s3:
            while True:
                is_closed = self._journal.is_closed
                for segment in self._journal.closed_segments():
                    if not segment.is_uploaded:
                        await s3.put_object(
                            Bucket=self._settings.s3_bucket,
                            Key=f"landing/async_twin/{self._journal.id}-{segment.path.name}.gz",
                            Body=await asyncio.to_thread(segment.compressed),
                            Metadata={"endpoint": segment.endpoint},
                            ContentType="application/gzip",
                            IfNoneMatch="*",
                        )
                        segment.is_uploaded = True
                        self._metrics.uploads.inc()
                    if segment.end <= self._journal.delivered:
                        self._journal.delete(segment)
                if is_closed:
                    break
                await asyncio.sleep(LOOK_INTERVAL)


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    uvloop.run(Twin(Settings.from_environment(EXTRACTORS)).run())


if __name__ == "__main__":
    main()
