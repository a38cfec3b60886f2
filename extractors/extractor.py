"""One exchange to Kafka: the connections' threads listen, the caller's batches and produces."""

import logging
import time
from functools import partial
from queue import Empty, Queue
from threading import Thread

from core.message import instrument_key
from core.topics import FEED_EVENTS, INSTRUMENTS
from extractors.batcher import Batcher
from extractors.connection import stay_connected
from extractors.continuity import Continuity, FeedEvent
from extractors.doubles import Doubles
from extractors.feed import Feed
from extractors.instruments import InstrumentWatch, instrument_message
from extractors.known_instruments import known_instruments
from extractors.metrics import Metrics
from extractors.notices import Ended, Frame, Listing, Notice, Opened, Opening, now_us
from extractors.producer import Producer, ProducerError
from extractors.stop import Stop

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Seconds without a notice after which the delivery reports and the stop are looked at."""

FLUSH_SHARE = 5.0
"""Seconds of the stop that belong to Kafka, should a connection's thread be slow to leave."""

SUMMARY_INTERVAL = 60.0

ASKED, FAILED, HOPELESS = 0, 1, 2
"""Exit statuses: after SIGTERM; a new process may do better; a new process would fail as well."""


def extract(feed: Feed, bootstrap_servers: str, stop: Stop, metrics: Metrics) -> int:
    """Runs until `stop` is requested or nothing can be done. Gives the exit status.

    After the request all that was received is produced and flushed, as far as the time allows.
    """
    producer = Producer(feed.name, bootstrap_servers, stop, metrics)
    if not producer.wait_for_topics():
        return ASKED
    extractor = Extractor(feed, producer, stop, metrics)
    instruments = InstrumentWatch(
        feed,
        partial(known_instruments, feed.name, bootstrap_servers),
        extractor.notices,
        stop.requested,
    )
    instruments.start()
    try:
        extractor.run()
        status = HOPELESS if extractor.is_hopeless else ASKED
    except ProducerError as error:
        log.error("producer failed reason=%r", str(error))
        status = FAILED
    stop.request()
    undelivered = producer.close()
    log.info("stopped undelivered=%d %s", undelivered, metrics.totals())
    return status or (FAILED if undelivered else ASKED)


class Extractor:
    """What happens to each notice."""

    def __init__(self, feed: Feed, producer: Producer, stop: Stop, metrics: Metrics) -> None:
        self.notices: Queue[Notice] = Queue(maxsize=feed.backlog)
        self.is_hopeless = False
        """The exchange does not know what we ask for."""
        self._feed = feed
        self._producer = producer
        self._stop = stop
        self._metrics = metrics
        self._batcher = Batcher()
        self._doubles = Doubles()
        self._continuity = Continuity(feed.name, now_us())
        metrics.watch_queue(self.notices.qsize)

    def run(self) -> None:
        """From the queue to the producer, until the connections' threads have left."""
        arguments = (self._feed, self.notices, self._stop.requested, self._metrics)
        # A daemon, because a name server that does not answer can't be interrupted.
        listener = Thread(target=stay_connected, args=arguments, name="connections", daemon=True)
        listener.start()
        self._publish(self._continuity.start())
        summary_due = time.monotonic() + SUMMARY_INTERVAL
        # In this order: once the listener has left, an empty queue stays empty.
        while (listener.is_alive() and self._stop.seconds_left() > FLUSH_SHARE) or (
            not self.notices.empty()
        ):
            notice = self._next_notice()
            if notice:
                self._take(notice)
            now = time.monotonic()
            for batch in self._batcher.ready(now):
                self._producer.produce(batch)
            self._producer.poll()
            if now >= summary_due:
                summary_due = now + SUMMARY_INTERVAL
                log.info("summary queued=%d %s", self.notices.qsize(), self._metrics.totals())
        for batch in self._batcher.flush():
            self._producer.produce(batch)

    def _next_notice(self) -> Notice | None:
        wait = min(self._batcher.seconds_left(time.monotonic()), WAKE_INTERVAL)
        try:
            return self.notices.get(timeout=wait)
        except Empty:
            return None

    def _take(self, notice: Notice) -> None:
        match notice:
            case Frame():
                self._take_frame(notice)
            case Opening():
                self._doubles.opening(notice)
            case Opened():
                self._publish(self._continuity.opened(notice))
            case Ended():
                self._doubles.ended(notice)
                self._metrics.connection_ended(notice.cause)
                self._publish(self._continuity.ended(notice))
                if notice.is_final:
                    self.is_hopeless = True
                    self._stop.request()
            case Listing():
                for instrument in notice.changed:
                    key = instrument_key(instrument.exchange, instrument.symbol)
                    self._producer.publish(
                        INSTRUMENTS, key, instrument_message(instrument, notice.at)
                    )

    def _take_frame(self, frame: Frame) -> None:
        items = len(frame.raw_data)
        first = self._doubles.without(frame)
        doubled = items - len(first.raw_data)
        self._metrics.received(frame.size, items)
        self._metrics.doubles.inc(doubled)
        self._publish(self._continuity.frame(frame, doubled > 0))
        for batch in self._batcher.add(first, time.monotonic()):
            self._producer.produce(batch)

    def _publish(self, events: list[FeedEvent]) -> None:
        for event in events:
            if event.kind != "connection":
                log.info("%s", event)
            self._producer.publish(FEED_EVENTS, self._feed.name.encode(), event.message())
