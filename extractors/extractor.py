"""One exchange to Kafka: the connection's thread listens, the caller's batches and produces."""

import logging
import time
from collections import Counter
from queue import Empty, Queue
from threading import Thread

from extractors.batcher import Batcher
from extractors.connection import stay_connected
from extractors.feed import Feed, Frame
from extractors.producer import Producer, ProducerError
from extractors.stop import Stop

log = logging.getLogger(__name__)

WAKE_INTERVAL = 0.25
"""Seconds without a frame after which the delivery reports and the stop are looked at."""

FLUSH_SHARE = 5.0
"""Seconds of the stop that belong to Kafka, should the connection's thread be slow to leave."""

SUMMARY_INTERVAL = 60.0


def extract(feed: Feed, bootstrap_servers: str, stop: Stop) -> bool:
    """Runs until `stop` is requested. False where that was not the reason, or a message was lost.

    After the request all that was received is produced and flushed, as far as the time allows.
    """
    counts: Counter[str] = Counter()
    producer = Producer(feed.name, bootstrap_servers, stop, counts)
    if not producer.wait_for_topic():
        return True
    try:
        carry(feed, producer, stop, counts)
    except ProducerError as error:
        log.error("producer failed reason=%r", str(error))
    was_requested = stop.requested.is_set()
    stop.request()
    undelivered = producer.close()
    log_summary(counts, queued=0)
    log.info("stopped undelivered=%d", undelivered)
    return was_requested and not undelivered


def carry(feed: Feed, producer: Producer, stop: Stop, counts: Counter[str]) -> None:
    """From the socket to the producer, until the connection's thread has left."""
    frames: Queue[Frame] = Queue(maxsize=feed.backlog)
    # A daemon, because a name server that does not answer can't be interrupted.
    listener = Thread(
        target=stay_connected, args=(feed, frames, stop.requested), name="connection", daemon=True
    )
    listener.start()
    batcher = Batcher()
    summary_due = time.monotonic() + SUMMARY_INTERVAL
    # In this order: once the listener has left, an empty queue stays empty.
    while (listener.is_alive() and stop.seconds_left() > FLUSH_SHARE) or not frames.empty():
        frame = next_frame(frames, min(batcher.seconds_left(time.monotonic()), WAKE_INTERVAL))
        now = time.monotonic()
        if frame:
            counts["frames"] += 1
            counts["items"] += len(frame.raw_data)
        for batch in batcher.add(frame, now) if frame else batcher.ready(now):
            producer.produce(batch)
        producer.poll()
        if now >= summary_due:
            summary_due = now + SUMMARY_INTERVAL
            log_summary(counts, frames.qsize())
    for batch in batcher.flush():
        producer.produce(batch)


def next_frame(frames: Queue[Frame], timeout: float) -> Frame | None:
    try:
        return frames.get(timeout=timeout)
    except Empty:
        return None


def log_summary(counts: Counter[str], queued: int) -> None:
    """What happened since the last summary."""
    log.info(
        "summary frames=%d items=%d messages=%d delivery_errors=%d queued=%d",
        counts["frames"],
        counts["items"],
        counts["messages"],
        counts["delivery_errors"],
        queued,
    )
    counts.clear()
