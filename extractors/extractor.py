"""One exchange to its journal, and from there to Kafka and to the object store.

    connections ─► queue ─► journal ─┬─► KafkaFollower ─► producer ─► Kafka
                                     └─► S3UploaderThread ─► landing/

The caller's thread takes from the queue and writes the journal; each follower has one of its own and
holds up neither the other nor the listening.
"""

import logging
import time
from functools import partial
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from core.message import instrument_key
from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from extractors.connection import stay_connected
from extractors.continuity import Continuity, FeedEvent
from extractors.doubles import Doubles
from extractors.feed import Feed
from extractors.instruments import InstrumentWatch, instrument_message
from extractors.journal import Journal, JournalError
from extractors.kafka_follower import KafkaFollower
from extractors.known_instruments import known_instruments
from extractors.metrics import Metrics
from extractors.notices import Ended, Frame, Listing, Notice, Opened, Opening, now_us
from extractors.producer import Producer, ProducerError
from extractors.s3_uploader import S3Uploader, S3UploaderThread
from extractors.stop import Stop
from extractors.taken import taken_positions

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Seconds without a notice after which the journal's segment and the stop are looked at."""

FLUSH_SHARE = 5.0
"""Seconds of the stop that belong to the followers, should a connection's thread be slow to leave."""

SUMMARY_INTERVAL = 60.0

ASKED, FAILED, HOPELESS = 0, 1, 2
"""Exit statuses: after SIGTERM; a new process may do better; a new process would fail as well."""


def extract(feed: Feed, settings: Settings, stop: Stop, metrics: Metrics) -> int:
    """Runs until `stop` is requested or nothing can be done. Gives the exit status.

    After the request what was received goes to Kafka and to the object store, as far as the time
    allows; the rest stays in the journal.
    """
    try:
        journal = Journal(Path(settings.journal_dir) / feed.name, settings.journal_limit_bytes)
    except JournalError as error:
        log.error("journal reason=%r", str(error))
        return FAILED
    servers = settings.kafka_bootstrap_servers
    producer = Producer(feed.name, servers, journal.id, stop, metrics)
    taken = partial(taken_positions, feed.name, journal.id, servers)
    kafka = KafkaFollower(journal, producer, taken, feed.symbol_of, stop)
    uploader = S3Uploader(settings, feed.name, journal.id)
    landing = S3UploaderThread(journal, uploader, lambda: producer.delivered, stop, metrics)
    metrics.watch_journal(lambda: journal.size)
    metrics.watch_follower(
        "kafka", lambda: journal.items_from(producer.delivered), lambda: producer.oldest_pending
    )
    metrics.watch_follower("landing", landing.items_waiting, landing.oldest_waiting)
    extractor = Extractor(feed, journal, producer, stop, metrics)
    known = partial(known_instruments, feed.name, servers)
    instruments = InstrumentWatch(feed, known, extractor.notices, stop.requested)
    for thread in (kafka, landing, instruments):
        thread.start()
    try:
        extractor.run([kafka, landing])
    except ProducerError as error:
        log.error("producer failed reason=%r", str(error))
        extractor.status = FAILED
    stop.request()
    journal.close()
    for follower in (kafka, landing):
        follower.join(stop.seconds_left())
    if not landing.is_alive():
        landing.delete_taken()
    journal.unlock()
    log.info("stopped items_left=%d %s", journal.items_from(0), metrics.totals())
    return FAILED if kafka.error else extractor.status


class Extractor:
    """What happens to each notice."""

    def __init__(
        self, feed: Feed, journal: Journal, producer: Producer, stop: Stop, metrics: Metrics
    ) -> None:
        self.notices: Queue[Notice] = Queue(maxsize=feed.backlog)
        self.status = ASKED
        self._feed = feed
        self._journal = journal
        self._producer = producer
        self._stop = stop
        self._metrics = metrics
        self._doubles = Doubles()
        self._continuity = Continuity(feed.name, now_us())
        self._is_refusing = False
        metrics.watch_queue(self.notices.qsize)

    def run(self, followers: list[Thread]) -> None:
        """From the queue to the journal, until the connections' threads have left."""
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
            try:
                self._take(self.notices.get(timeout=WAKE_INTERVAL))
            except Empty:
                pass
            now = time.monotonic()
            self._journal.close_if_due(now)
            if now >= summary_due:
                summary_due = now + SUMMARY_INTERVAL
                log.info("summary queued=%d %s", self.notices.qsize(), self._metrics.totals())
            if not self._stop.requested.is_set():
                self._watch(followers)
        if not self._stop.requested.is_set():
            log.error("connections ended without a stop")
            self.status = FAILED

    def _watch(self, followers: list[Thread]) -> None:
        """One that died would be missed by nobody until the journal is full."""
        for follower in followers:
            if not follower.is_alive():
                log.error("%s follows the journal no more", follower.name)
                self.status = FAILED
                self._stop.request()

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
                    self.status = HOPELESS
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
        if first.raw_data:
            self._journalise(first)
        self._publish(self._continuity.frame(frame, doubled > 0))

    def _journalise(self, frame: Frame) -> None:
        """What the full journal refuses is lost, and counted."""
        items = [raw_data.item() for raw_data in frame.raw_data]
        refusal = self._journal.append(frame.endpoint, items, frame.at, time.monotonic())
        if refusal:
            self._metrics.refused.inc(len(items))
            if not self._is_refusing:
                log.error("journal full, items are lost reason=%r", refusal)
        elif self._is_refusing:
            log.info("journal takes again bytes=%d", self._journal.size)
        self._is_refusing = bool(refusal)

    def _publish(self, events: list[FeedEvent]) -> None:
        for event in events:
            if event.kind != "connection":
                log.info("%s", event)
            self._producer.publish(FEED_EVENTS, self._feed.name.encode(), event.message())
