"""Fill the holes of a feed with the exchange's own candles, pair by pair, most traded first.

    exchange ─► response ─► topic `exchange_candles` ─► record on disk

A thread of its own sends one request at a time, at a third of the rate that the exchange allows, so the
feed is never delayed. A pair is recorded when Kafka has its candles: after a failure or a restart only the
others are requested.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from threading import Thread

from core.message import candles_key, candles_message
from core.settings import Settings
from exchanges.exchange import (
    CandleSource,
    CandleSpan,
    ExchangeError,
    Instrument,
    InvalidRequestError,
)
from extractors.backfill.candle_producer import CandleProducer, TooLargeError
from extractors.backfill.holes import DAY, HOUR, SECOND, Part, parts_of
from extractors.backfill.progress import BackfillProgress, Filling
from extractors.backfill.ranking import TRADING, ranked
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.notices import now_us
from extractors.receive.repeated import repeat, retry_pause
from extractors.shutdown import Shutdown

log = logging.getLogger(__name__)

LOOK_INTERVAL = 1.0
"""Seconds between two looks for a hole, and between two writes of the record."""

REPORT_INTERVAL = 60.0
"""Seconds between two lines of the log about the progress."""

ATTEMPTS = 10
"""Number of failures at which a pair is given up. Between them, all other pairs are requested."""

VOLUME = "base_volume_24h"
"""Column of a ticker. Without it, the exchange's candles are the only source of volumes."""


def reach_of(settings: Settings) -> dict[str, int]:
    """Return the maximum age of each interval's candles at the end of a hole, in microseconds."""
    return {
        "1m": settings.backfill_1m_hours * HOUR,
        "1h": settings.backfill_1h_days * DAY,
        "1d": settings.backfill_1d_days * DAY,
    }


class Backfill(Thread):
    """Thread that fills the holes of `progress`, which is recorded in `folder`.

    `instruments` returns those that are known. While none of them trades, as in an exchange's maintenance, no
    hole is filled.
    """

    def __init__(
        self,
        client: ExchangeClient,
        source: CandleSource,
        producer: CandleProducer,
        progress: BackfillProgress,
        folder: Path,
        reach: Mapping[str, int],
        instruments: Callable[[], Collection[Instrument]],
        stop: Shutdown,
        clock: Callable[[], int] = now_us,
    ) -> None:
        super().__init__(name="backfill", daemon=True)
        self.pairs = 0
        """Number of pairs of the current hole."""
        self.done = 0
        """Number of these pairs whose candles Kafka has."""
        self._client = client
        self._source = source
        self._producer = producer
        self._progress = progress
        self._folder = folder
        self._reach = reach
        self._instruments = instruments
        self._stop_requested = stop
        self._clock = clock
        self._next_request = 0.0
        self._saved_at = 0.0

    def run(self) -> None:
        repeat(self._step, self._stop_requested.requested, "backfill interrupted")

    def _step(self) -> float:
        """Fill the newest hole that is due, if any. Return the seconds until the next look."""
        self._save()
        self._producer.poll()
        now = self._clock()
        if self._reach["1h"] and VOLUME not in self._client.exchange.fields:
            self._progress.end_hours(now)
        filling = self._progress.next(now)
        instruments = self._instruments()
        if filling and any(each.status == TRADING for each in instruments):
            self._producer.check_topic()
            try:
                self._fill(filling, instruments)
            finally:
                self._client.close_candles()
        return LOOK_INTERVAL

    def _fill(self, filling: Filling, instruments: Collection[Instrument]) -> None:
        """Request the candles of all pairs that trade. Return early if a newer hole is due."""
        symbols = ranked(instruments, self._client.turnovers(self._source))
        parts = parts_of(filling.hole, self._reach, self._source.limit)
        left = [each for each in symbols if each not in filling.symbols]
        self.pairs, self.done = len(symbols), len(symbols) - len(left)
        log.info("backfill started pairs=%d done=%d parts=%d", self.pairs, self.done, len(parts))
        failures, report_due = 0, time.monotonic() + REPORT_INTERVAL
        for symbol in left:
            try:
                is_last_attempt = filling.failures[symbol] + 1 >= ATTEMPTS
                if not self._fill_pair(symbol, parts, is_last_attempt):
                    return
            except ExchangeError as error:
                # A demanded pause concerns all pairs; another error may concern this one alone.
                if error.retry_after:
                    raise
                failures += 1
                filling.failures[symbol] += 1
                self._pause(symbol, error, failures)
            else:
                failures = 0
                self._progress.add_symbol(filling, symbol)
                self.done += 1
            self._save()
            if time.monotonic() >= report_due:
                report_due += REPORT_INTERVAL
                log.info("backfill pairs=%d done=%d", self.pairs, self.done)
            newest = self._progress.next(self._clock())
            if self._stop_requested.requested.is_set() or newest is not filling:
                return
        if self.done < self.pairs:
            raise ExchangeError("failed", f"no candles of {self.pairs - self.done} pairs yet")
        self._progress.remove(filling)
        self._save(at_once=True)
        log.info("backfill finished pairs=%d", self.pairs)

    def _fill_pair(self, symbol: str, parts: list[Part], is_last_attempt: bool) -> bool:
        """Send the symbol's candles to Kafka, or the reason why the exchange or Kafka refuses them.

        Return False if a stop was requested before all were sent. Raise ExchangeError if a request failed;
        at the last attempt, its reason is sent instead. Raise OSError if Kafka is unavailable.
        """
        for part in parts:
            self._pace()
            if self._stop_requested.requested.is_set():
                return False
            try:
                response, reason = self._candles(CandleSpan(symbol, *part)), None
            except ExchangeError as error:
                is_final = is_last_attempt or isinstance(error, InvalidRequestError)
                if error.retry_after or not is_final:
                    raise
                response, reason = None, str(error)
            try:
                self._send(symbol, part, response, reason)
            except TooLargeError as error:
                # Another attempt would fail too, and keep all other pairs waiting.
                log.warning("candles refused symbol=%r reason=%r", symbol, str(error))
                self._send(symbol, part, None, str(error))
        return True

    def _candles(self, span: CandleSpan) -> str:
        """Return the exchange's response. Raise ExchangeError if it is unusable, or if there is none."""
        try:
            return self._client.candles(self._source, span)
        except OSError as error:
            raise ExchangeError("unanswered", str(error) or repr(error)) from error

    def _pause(self, symbol: str, error: ExchangeError, in_a_row: int) -> None:
        """Wait after a failure: longer with every failure in a row, as all pairs may fail."""
        pause = retry_pause(in_a_row)
        log.warning(
            "candles unavailable symbol=%r reason=%r retry_in=%g", symbol, str(error), pause
        )
        self._stop_requested.requested.wait(pause)

    def _send(self, symbol: str, part: Part, response: str | None, reason: str | None) -> None:
        exchange = self._client.exchange.name
        fields = {
            "exchange": exchange,
            "symbol": symbol,
            "interval": part.interval,
            "from": part.start * SECOND,
            "to": part.end * SECOND,
            "received_at": self._clock(),
            "reason": reason,
        }
        key = candles_key(exchange, symbol, part.interval)
        self._producer.send(key, candles_message(fields, response))

    def _pace(self) -> None:
        """Wait until the next request is allowed."""
        now = time.monotonic()
        self._stop_requested.requested.wait(max(0.0, self._next_request - now))
        self._next_request = max(now, self._next_request) + self._source.request_interval

    def _save(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if at_once or now >= self._saved_at + LOOK_INTERVAL:
            self._saved_at = now
            self._progress.save(self._folder)
