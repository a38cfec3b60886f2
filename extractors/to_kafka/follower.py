"""Send a journal to Kafka: each item once and in its symbol's order, across failures and restarts."""

import logging
import time
from collections.abc import Callable
from contextlib import closing, suppress
from threading import Thread

from core.message import MAX_MESSAGE_BYTES
from core.settings import Settings
from extractors.journal.journal import DISK_IS_FULL, Journal
from extractors.journal.reader import JournalReader
from extractors.metrics import Metrics
from extractors.receive.exchange_client import ExchangeClient
from extractors.shutdown import Shutdown
from extractors.to_kafka.batcher import Batcher
from extractors.to_kafka.delivered import Delivered
from extractors.to_kafka.producer import Producer, ProducerError, TooLargeError
from extractors.to_kafka.resume import begin, catch_up

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Maximum seconds between two checks of the delivery reports and the stop."""

READ_INTERVAL = 0.02
"""Seconds between two reads while a batch collects items."""

RETRY_INTERVAL = 2.0
"""Seconds from a producer's failure to the next producer."""

SAVE_INTERVAL = 1.0
"""Seconds between two writes of the record of deliveries."""


class KafkaFollower(Thread):
    """Thread that sends the journal until it is closed and delivered, or the deadline passes.

    After a failure a new producer resumes after what Kafka has, as after a restart. Meanwhile the
    journal keeps new items.
    """

    def __init__(
        self,
        client: ExchangeClient,
        journal: Journal,
        settings: Settings,
        stop: Shutdown,
        metrics: Metrics,
    ) -> None:
        super().__init__(name="kafka", daemon=True)
        self._exchange = client.exchange
        self._batch_seconds = client.batch_seconds
        self._topic = client.exchange.raw_topic
        self._journal = journal
        self._settings = settings
        self._stop_requested = stop
        self._metrics = metrics
        self._delivered = Delivered.load(journal.folder, journal.id)
        self._saved_counts = list(self._delivered.counts)
        self._refused: set[int] = set()
        self._message_bytes = MAX_MESSAGE_BYTES
        self._save_at = 0.0
        self._undelivered: Callable[[], int | None] = self._oldest_in_journal
        journal.delivered = self._delivered.position

    def oldest_undelivered(self) -> int | None:
        """Return when the oldest item that Kafka lacks was received, in microseconds since the epoch.

        While no producer follows the journal, return when the first item of that item's segment was received.
        """
        return self._undelivered()

    def run(self) -> None:
        while self._stop_requested.seconds_left():
            producer = Producer(
                self._exchange.name,
                self._settings,
                self._journal.id,
                self._delivered,
                self._refused,
                self._message_bytes,
                self._stop_requested,
                self._metrics,
            )
            with closing(producer):
                try:
                    self._follow(producer)
                    return
                except TooLargeError as error:
                    pause = 0.0
                    self._message_bytes //= 2
                    log.warning(
                        "message limit halved bytes=%d reason=%r", self._message_bytes, str(error)
                    )
                except (ProducerError, OSError) as error:
                    pause = RETRY_INTERVAL
                    self._metrics.producer_failures.inc()
                    log.error("producer failed retry_in=%g reason=%r", pause, str(error))
                finally:
                    self._undelivered = self._oldest_in_journal
                    self._record()
            self._stop_requested.pause(pause)

    def _follow(self, producer: Producer) -> None:
        partitions = producer.wait_for_topic()
        if partitions is None:
            return
        self._resume(partitions)
        taken = self._delivered.taken()
        start = max(self._journal.start, self._delivered.start())
        batcher = Batcher(self._batch_seconds)
        self._undelivered = lambda: producer.oldest_pending or batcher.received_at
        with closing(JournalReader(self._journal, start, self._exchange.symbol_of)) as reader:
            while self._stop_requested.seconds_left():
                # Checked before reading: a closed journal without another line is at its end.
                is_closed = self._journal.is_closed
                lines = reader.read()
                now = time.monotonic()
                for batch in batcher.add(lines, now):
                    producer.send(batch, taken)
                producer.poll()
                self._record_if_due(now)
                if is_closed and not lines:
                    break
                if batcher.received_at is None:
                    self._journal.wait_for_items(reader.position, WAKE_INTERVAL)
                else:
                    time.sleep(min(batcher.seconds_left(now), READ_INTERVAL))
        for batch in batcher.flush():
            producer.send(batch, taken)
        log.info("flushed undelivered=%d", producer.flush())

    def _resume(self, partitions: int) -> None:
        """Update the record with what Kafka has. Raise OSError."""
        is_new = not (self._journal.had_items or self._delivered.partitions)
        self._delivered.set_partitions(partitions, self._journal.end)
        if self._delivered.counts != self._saved_counts:
            self._save_counts()
        update = begin if is_new else catch_up
        update(self._topic, self._settings, self._delivered)
        log.info("resumed position=%d taken=%s", self._delivered.start(), self._delivered.taken())
        self._record()

    def _save_counts(self) -> None:
        """Record the numbers of partitions. Raise OSError, but not for a full disk.

        On a full disk, delivery goes on: it makes room, as delivered segments can be dropped.
        """
        try:
            self._save()
        except OSError as error:
            if error.errno not in DISK_IS_FULL:
                raise
            log.error("partitions not recorded reason=%r", str(error))
            if len(self._delivered.counts) > 1:
                # Keep the former number. If this process used the new one and were killed, the next would
                # look for items in the former partitions: some would be sent twice, or never.
                self._delivered.counts.pop()
            # Otherwise no number of this topic is recorded. If this process were killed, the next one would
            # take the topic's number for that of all items: right, unless partitions are added in between.

    def _record_if_due(self, now: float) -> None:
        self._journal.delivered = self._delivered.position
        if now >= self._save_at:
            self._save_at = now + SAVE_INTERVAL
            self._record()

    def _record(self) -> None:
        self._journal.delivered = self._delivered.position
        # On a full disk the older record stays; a restart then reads more of the topic.
        with suppress(OSError):
            self._save()

    def _save(self) -> None:
        """Write the record, durably if the numbers of partitions changed. Raise OSError."""
        counts = list(self._delivered.counts)
        self._delivered.save(self._journal.folder, durably=counts != self._saved_counts)
        self._saved_counts = counts

    def _oldest_in_journal(self) -> int | None:
        segment = self._journal.segment_at(self._journal.delivered)
        return segment.received_at if segment else None
