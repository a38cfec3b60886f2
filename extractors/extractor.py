"""Write one exchange's items to its journal, and from there to Kafka and the object store.

    connections ─► backlog ─► journal ─┬─► KafkaFollower ─► Kafka
                                       └─► S3UploaderThread ─► landing/
    Backfill ─► Kafka

The caller's thread reads the backlog and writes the journal. Each follower runs in a separate thread,
so it delays neither the other follower nor the connections.
"""

import itertools
import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event, Thread

from core.message import instrument_key, received_at_of
from core.settings import Settings
from core.topics import FEED_EVENTS, INSTRUMENTS
from extractors.backfill.backfill import Backfill, reach_of
from extractors.backfill.candle_producer import CandleProducer
from extractors.backfill.progress import BackfillProgress
from extractors.journal.journal import Journal, JournalError
from extractors.metrics import Metrics
from extractors.receive.backlog import Backlog
from extractors.receive.connection import stay_connected
from extractors.receive.duplicates import Duplicates
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.feed_events import FeedEvent, FeedEvents
from extractors.receive.instruments import InstrumentWatch, instrument_message
from extractors.receive.notices import Ended, Frame, Listing, Notice, Opened, Opening, now_us
from extractors.shutdown import Shutdown
from extractors.to_kafka.follower import KafkaFollower
from extractors.to_kafka.known_instruments import known_instruments
from extractors.to_kafka.publisher import Publisher
from extractors.to_landing.uploader import S3Uploader, S3UploaderThread

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Maximum seconds between two checks of the journal's segment and the stop."""

FLUSH_SECONDS = 5.0
"""Seconds of the shutdown that are reserved for the followers, if a connection's thread ends slowly."""

COLLECT_SHARE = 0.01
"""Pause between two writes to the journal, as a share of `batch_seconds`."""

SUMMARY_INTERVAL = 60.0

MAX_ITEMS_PER_WRITE = 5_000
"""Maximum number of items in one write to the journal: about 1 MB."""

WORKED = "worked"
"""Empty file in the journal's folder. A process that had received a ticker left it when it stopped."""

STOPPED, FAILED, HOPELESS = 0, 1, 2
"""Exit statuses: stopped as requested; failed, a restart may help; failed, a restart is useless."""


def extract(client: ExchangeClient, settings: Settings, stop: Shutdown, metrics: Metrics) -> int:
    """Run until `stop` is requested, or until the extractor fails. Return the exit status.

    After the request, received items are sent to Kafka and the object store until the deadline; the
    rest stays in the journal.
    """
    exchange = client.exchange
    try:
        journal = Journal(Path(settings.journal_dir) / exchange.name, settings.journal_limit_bytes)
    except JournalError as error:
        log.error("journal unusable reason=%r", str(error))
        return FAILED
    kafka = KafkaFollower(client, journal, settings, stop, metrics)
    uploader = S3Uploader(settings, exchange.name, journal.id)
    landing = S3UploaderThread(journal, uploader, stop, metrics)
    publisher = Publisher(settings, stop)
    metrics.watch_journal(
        journal.folder,
        settings.journal_limit_bytes,
        lambda: journal.size,
        lambda: journal.dropped,
    )
    metrics.watch_follower(
        "kafka", lambda: journal.items_from(journal.delivered), kafka.oldest_undelivered
    )
    metrics.watch_follower("landing", landing.items_waiting, landing.oldest_waiting)
    holes = BackfillProgress.load(journal.folder)
    extractor = Extractor(client, journal, publisher, holes, stop, metrics)
    known = partial(known_instruments, exchange.name, settings)
    instruments = InstrumentWatch(client, known, extractor.backlog, stop.requested)
    threads: list[Thread] = [kafka, landing, publisher, instruments]
    reach = reach_of(settings)
    if exchange.candles and any(reach.values()):
        producer = CandleProducer(settings)
        backfill = Backfill(
            client,
            exchange.candles,
            producer,
            holes,
            journal.folder,
            reach,
            lambda: instruments.instruments,
            stop,
        )
        metrics.watch_backfill(lambda: backfill.done, lambda: backfill.pairs)
        threads.append(backfill)
    for thread in threads:
        thread.start()
    extractor.run(threads)
    stop.request()
    journal.close()
    publisher.close()
    for thread in (kafka, landing, publisher):
        thread.join(stop.seconds_left())
    if not landing.is_alive():
        landing.delete_taken()
    journal.unlock()
    log.info("stopped items_left=%d %s", journal.items_from(0), metrics.totals())
    return extractor.status


class Extractor:
    """Act on each notice: write items to the journal, publish events and instruments."""

    def __init__(
        self,
        client: ExchangeClient,
        journal: Journal,
        publisher: Publisher,
        holes: BackfillProgress,
        stop: Shutdown,
        metrics: Metrics,
    ) -> None:
        self.backlog = Backlog(client.exchange.backlog)
        self.status = STOPPED
        self._client = client
        self._name = client.exchange.name
        self._journal = journal
        self._publisher = publisher
        self._holes = holes
        self._stop = stop
        self._metrics = metrics
        self._duplicates = Duplicates()
        self._feed_events = FeedEvents(self._name, now_us(), client.silence_limit)
        self._is_refusing = False
        metrics.watch_queue(self.backlog.__len__)

    def run(self, threads: Sequence[Thread]) -> None:
        """Move notices from the backlog to the journal until the connections' threads have ended."""
        has_worked = Event()
        mark = self._journal.folder / WORKED
        # A killed process leaves no mark, but items, or a record of the backfill.
        if mark.exists() or self._holes.has_flowed or self._journal.had_items:
            has_worked.set()
        arguments = (self._client, self.backlog, self._stop.requested, self._metrics, has_worked)
        # A daemon, because a name lookup can't be interrupted.
        listener = Thread(target=stay_connected, args=arguments, name="connections", daemon=True)
        listener.start()
        self._publish(self._feed_events.start())
        summary_due = time.monotonic() + SUMMARY_INTERVAL
        # Check the listener first: once it has ended, no more frames are added.
        while (listener.is_alive() and self._stop.seconds_left() > FLUSH_SECONDS) or self.backlog:
            self._take(self.backlog.take(WAKE_INTERVAL))
            # Let items collect: they wait for their batch anyway, and fewer writes cost less.
            time.sleep(self._client.batch_seconds * COLLECT_SHARE)
            now = time.monotonic()
            self._journal.close_if_due(now)
            if now >= summary_due:
                summary_due = now + SUMMARY_INTERVAL
                log.info("summary queued=%d %s", len(self.backlog), self._metrics.totals())
            if not self._stop.requested.is_set():
                self._watch(threads)
        if not self._stop.requested.is_set():
            log.error("connections ended without a stop")
            self.status = FAILED
        if has_worked.is_set():
            try:
                mark.touch()
            except OSError as error:
                log.warning("not marked as having worked file=%s reason=%r", mark, str(error))

    def _watch(self, threads: Sequence[Thread]) -> None:
        """Stop if a thread died; nothing else would notice before the journal fills."""
        for thread in threads:
            if not thread.is_alive():
                log.error("thread ended without a stop name=%s", thread.name)
                self.status = FAILED
                self._stop.request()

    def _take(self, notices: list[Notice]) -> None:
        """Act on notices in order, but write the items of all frames together."""
        frames: list[Frame] = []
        items = size = duplicates = 0
        for notice in notices:
            if isinstance(notice, Frame):
                remaining = self._duplicates.without(notice)
                discarded = len(notice.raw_data) - len(remaining.raw_data)
                self._publish(self._feed_events.frame(notice, discarded > 0))
                frames.append(remaining)
                items += len(notice.raw_data)
                size += notice.size
                duplicates += discarded
            else:
                self._take_other(notice)
        if frames:
            self._holes.flowing(self._feed_events.last_ticker)
            self._metrics.received(len(frames), size, items, duplicates)
            for endpoint, group in itertools.groupby(frames, lambda frame: frame.endpoint):
                self._journalise(endpoint, list(group))

    def _take_other(self, notice: Notice) -> None:
        match notice:
            case Opening():
                self._duplicates.opening(notice)
            case Opened():
                self._publish(self._feed_events.opened(notice))
            case Ended():
                self._duplicates.ended(notice)
                self._metrics.connection_ended(notice.cause)
                self._publish(self._feed_events.ended(notice))
                if notice.is_final:
                    self.status = HOPELESS
                    self._stop.request()
            case Listing():
                for instrument in notice.changed:
                    key = instrument_key(instrument.exchange, instrument.symbol)
                    self._publisher.publish(
                        INSTRUMENTS, key, instrument_message(instrument, notice.at)
                    )

    def _journalise(self, endpoint: str, frames: list[Frame]) -> None:
        """Write the frames' items to the journal. Items that it refuses are lost and counted."""
        items = [item for frame in frames for item in frame.items()]
        for first in range(0, len(items), MAX_ITEMS_PER_WRITE):
            part = items[first : first + MAX_ITEMS_PER_WRITE]
            # Not the first frame's time: all of its items may be duplicates, or be in an earlier part.
            refusal = self._journal.append(
                endpoint, part, received_at_of(part[0]), time.monotonic()
            )
            if refusal:
                self._metrics.refused.inc(len(part))
                if not self._is_refusing:
                    log.error("journal refuses items, which are lost reason=%r", refusal)
            elif self._is_refusing:
                log.info("journal accepting items again bytes=%d", self._journal.size)
            self._is_refusing = bool(refusal)

    def _publish(self, events: list[FeedEvent]) -> None:
        for event in events:
            if event.kind != "connection":
                log.info("%s", event)
            if event.kind == "interruption" and event.end is not None:
                self._holes.interrupted(event.start, self._feed_events.last_ticker)
                self._metrics.interruption_ended((event.end - event.start) / 1e6)
            self._publisher.publish(FEED_EVENTS, self._name.encode(), event.message())
