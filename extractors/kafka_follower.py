"""From the journal to Kafka: each item once, in its symbol's order, whatever ended in between."""

import logging
import time
from collections.abc import Callable
from threading import Thread

from core.message import Item
from extractors.batcher import Batcher
from extractors.journal import Journal
from extractors.journal_reader import JournalReader
from extractors.producer import Producer, ProducerError
from extractors.stop import Stop
from extractors.taken import TopicError

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Seconds without an item after which the delivery reports and the stop are looked at."""

RETRY_INTERVAL = 2.0
"""Seconds after which Kafka is asked again how far a former process came."""


class KafkaFollower(Thread):
    """Follows the journal until it is closed and all is delivered, or the stop allows no more.

    What a former process left is followed first; `taken_positions` says how far that one came into
    each partition. `error` says why it ended otherwise.
    """

    def __init__(
        self,
        journal: Journal,
        producer: Producer,
        taken_positions: Callable[[], dict[int, int]],
        symbol_of: Callable[[Item], str],
        stop: Stop,
    ) -> None:
        super().__init__(name="kafka", daemon=True)
        self.error: ProducerError | None = None
        self._journal = journal
        self._producer = producer
        self._taken_positions = taken_positions
        self._symbol_of = symbol_of
        self._stop_requested = stop

    def run(self) -> None:
        try:
            if self._producer.wait_for_topics():
                taken = self._taken()
                if taken is not None:
                    self._follow(taken)
        except ProducerError as error:
            log.error("producer failed reason=%r", str(error))
            self.error = error
            self._stop_requested.request()

    def _taken(self) -> dict[int, int] | None:
        """By partition; empty where there is nothing that a former process could have brought.

        None when the stop came before Kafka answered: what Kafka already has would be sent again.
        """
        if not self._journal.was_left:
            return {}
        while not self._stop_requested.requested.is_set():
            try:
                taken = self._taken_positions()
            except TopicError as error:
                log.warning("waiting reason=%r", str(error))
                self._stop_requested.requested.wait(RETRY_INTERVAL)
            else:
                log.info("going on behind positions=%s", taken)
                return taken
        return None

    def _follow(self, taken: dict[int, int]) -> None:
        reader = JournalReader(self._journal, self._journal.start, self._symbol_of)
        batcher = Batcher()
        while self._stop_requested.seconds_left():
            # In this order: a closed journal without another line has no line any more.
            is_closed = self._journal.is_closed
            lines = reader.read()
            now = time.monotonic()
            for batch in batcher.add(lines, now):
                self._producer.produce(batch, taken)
            self._producer.poll()
            if is_closed and not lines:
                break
            if not lines:
                wait = min(batcher.seconds_left(now), WAKE_INTERVAL)
                self._journal.wait_for_items(reader.position, wait)
        for batch in batcher.flush():
            self._producer.produce(batch, taken)
        reader.close()
        log.info("kafka has all but messages=%d", self._producer.flush())
