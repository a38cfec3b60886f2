"""A line in the log and the metrics of every batch."""

import json
import logging
import time
from collections import defaultdict

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

from spark_jobs.lag import LagClock
from spark_jobs.metrics import JobMetrics
from spark_jobs.sink import Sink

log = logging.getLogger(__name__)


class BatchReports(StreamingQueryListener):
    """Spark calls it from a thread of its own, after each batch of any query that brought messages.

    query=live_prices batch=311 messages=8 ticks=1003 written=871 refused=0 dead=0 without_candle=0
    addBatch=0.171 ... triggerExecution=0.262 ... lag_messages=0 lag_seconds=0.0 binance_age=0.310 ...
    """

    def __init__(self, metrics: JobMetrics) -> None:
        self._sinks: dict[str, Sink] = {}
        self._metrics = metrics
        self._clocks: defaultdict[str, LagClock] = defaultdict(LagClock)

    def watch(self, sink: Sink) -> None:
        self._sinks[sink.query] = sink

    def onQueryProgress(self, event: QueryProgressEvent) -> None:
        progress = event.progress
        query = progress.name or ""
        sink = self._sinks.get(query)
        if sink is None:
            return
        counts, newest = sink.counts(progress.batchId), sink.newest()
        if progress.numInputRows == 0:
            return
        (source,) = progress.sources
        lag = self._clocks[query].after_batch(
            time.time(), json.loads(source.endOffset), json.loads(source.latestOffset)
        )
        phases = {name: ms / 1000 for name, ms in progress.durationMs.items()}
        self._metrics.batch(query, progress.numInputRows, counts, phases, lag)
        self._metrics.prices(newest)
        words = {
            "query": query,
            "batch": progress.batchId,
            "messages": progress.numInputRows,
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

    def onQueryStarted(self, event: QueryStartedEvent) -> None: ...

    def onQueryIdle(self, event: QueryIdleEvent) -> None: ...

    def onQueryTerminated(self, event: QueryTerminatedEvent) -> None: ...
