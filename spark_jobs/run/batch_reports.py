"""Report every batch in a log line and in the metrics."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from spark_jobs.run.lag import LagClock
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Sink
from spark_jobs.tickers.reading import MOST, NOTHING_SENT, Share

log = logging.getLogger(__name__)


class BatchReports:
    """Log lines and metrics of batches. `report` is for progress_events.listen. Example of a line:

    query=live_prices batch=311 messages=8 ticks=1003 written=871 refused=0 dead=0 unread=0
    without_candle=0 addBatch=0.171 ... triggerExecution=0.262 ... lag_messages=0 lag_seconds=0.0
    binance_age=0.310 ...
    """

    def __init__(self, metrics: JobMetrics) -> None:
        self._sinks: dict[str, Sink] = {}
        self._metrics = metrics
        self._clocks: defaultdict[str, LagClock] = defaultdict(LagClock)
        self._unreadable: set[str] = set()
        self._seen: set[str] = set()
        """Exchanges whose share was reported."""

    def watch(self, sink: Sink) -> None:
        self._sinks[sink.query] = sink

    def report(self, progress: Mapping[str, Any]) -> None:
        """Report a batch that read messages, of a watched query. `progress` is Spark's own JSON."""
        query: str = progress.get("name") or ""
        sink = self._sinks.get(query)
        if sink is None:
            return
        counts, newest = sink.counts(progress["batchId"]), sink.newest()
        messages = progress["numInputRows"]
        if messages == 0:
            return
        (source,) = progress["sources"]
        lag = self._clocks[query].after_batch(
            time.time(), source["endOffset"], source["latestOffset"]
        )
        phases = {name: ms / 1000 for name, ms in progress["durationMs"].items()}
        self._metrics.batch(query, messages, counts, phases, lag)
        self._metrics.prices(newest)
        for reading in sink.new_readings():
            self._metrics.faults(reading)
        # Only the sink of prices has shares. Batches of the job's other queries change nothing.
        if shares := sink.unreadable():
            self._report_unreadable(shares)
        words = {
            "query": query,
            "batch": progress["batchId"],
            "messages": messages,
            **counts,
            **{name: f"{seconds:.3f}" for name, seconds in sorted(phases.items())},
            "lag_messages": lag.messages,
            "lag_seconds": f"{lag.seconds:.1f}",
            **{
                f"{exchange}_age": f"{time.time() - received_at.timestamp():.3f}"
                for exchange, received_at in sorted(newest.items())
            },
        }
        log.info(" ".join(f"{name}={value}" for name, value in words.items()))

    def _report_unreadable(self, shares: Mapping[str, Share]) -> None:
        """Log when most items of an exchange become unreadable, and when they can be read again."""
        # An exchange that sent nothing in the last minute has no share.
        known = {**dict.fromkeys(self._seen, NOTHING_SENT), **shares}
        self._seen |= shares.keys()
        self._metrics.unreadable(known)
        for exchange, share in known.items():
            was_unreadable = exchange in self._unreadable
            if share.unreadable > MOST and not was_unreadable:
                self._unreadable.add(exchange)
                log.warning(
                    "unreadable exchange=%s share=%.3f cause=%r",
                    exchange,
                    share.unreadable,
                    share.cause,
                )
            elif share.unreadable <= MOST and was_unreadable:
                self._unreadable.remove(exchange)
                log.info("readable exchange=%s", exchange)
