"""Record on disk which holes of the feed are not filled yet, so that a restart requests only the rest.

The record is a file `backfill` in the journal's folder. It is written without fsync: an older record is
harmless, because candles that are sent twice change nothing.

The clock may be ahead and then be set back. Recorded times ahead of it are corrected by the next call, so
they hide no later hole.
"""

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Self

from extractors.backfill.holes import HOUR, SHORTEST, Hole
from extractors.journal.replace_file import replace_file

log = logging.getLogger(__name__)

FILE = "backfill"


@dataclass(slots=True)
class Filling:
    """A hole, and the symbols whose candles Kafka has."""

    hole: Hole
    symbols: set[str] = field(default_factory=set)
    failures: Counter[str] = field(default_factory=Counter)
    """Number of failed requests of each symbol. It is not recorded."""

    def up_to(self, now: int) -> "Filling":
        """Return the same filling, or a new one up to `now` if the clock was ahead when the hole ended.

        The new one has no symbols: their candles were requested up to a time that has not come yet.
        """
        if self.hole.end <= now:
            return self
        return Filling(self.hole._replace(end=now))


class BackfillProgress:
    """Holes that are not filled yet. Thread-safe."""

    def __init__(self, flowing_until: int, hours_until: int, fillings: list[Filling]) -> None:
        self._lock = Lock()
        # When the previous process received its last ticker, 0 if there was none. None after the first
        # interruption of this process.
        self._before: int | None = flowing_until
        self._flowing_until = flowing_until
        # End of the last hour that a hole covers, in microseconds since the epoch; 0 before the first hole.
        self._hours_until = hours_until
        self._fillings = fillings

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the recorded progress; that of a first start if the record is missing or corrupt."""
        try:
            record = json.loads((folder / FILE).read_bytes())
            fillings = [
                Filling(
                    Hole(int(each["from"]), int(each["to"]), bool(each.get("only_hours"))),
                    {*map(str, each["symbols"])},
                )
                for each in record["holes"]
            ]
            # Earlier versions did not fill hours, so their records lack it.
            hours_until = int(record.get("hours_until", 0))
            return cls(int(record["flowing_until"]), hours_until, fillings)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning("record of the backfill unreadable reason=%r", str(error))
        return cls(0, 0, [])

    @property
    def has_flowed(self) -> bool:
        """Whether this process or an earlier one has received a ticker."""
        return self._flowing_until > 0

    def save(self, folder: Path) -> None:
        """Replace the file. Raise OSError on failure."""
        with self._lock:
            record = {
                "flowing_until": self._flowing_until,
                "hours_until": self._hours_until,
                "holes": [
                    {
                        "from": each.hole.start,
                        "to": each.hole.end,
                        "only_hours": each.hole.only_hours,
                        "symbols": sorted(each.symbols),
                    }
                    for each in self._fillings
                ],
            }
        replace_file(folder / FILE, json.dumps(record))

    def flowing(self, at: int) -> None:
        """Record the receipt of the newest ticker, in microseconds since the epoch (0 before the first)."""
        with self._lock:
            # Not the maximum: the clock may have been set back.
            self._flowing_until = at or self._flowing_until

    def interrupted(self, start: int, end: int) -> None:
        """Add the hole of an interruption that has ended, unless it is shorter than SHORTEST.

        The first hole of a process starts at the last ticker of the previous one, and is added at any length.
        """
        with self._lock:
            is_first = self._before is not None
            hole = Hole(start if self._before is None else min(start, self._before), end)
            self._before = None
            self._flowing_until = end
            # The first hole ever covers all hours up to its end; end_hours continues there.
            self._hours_until = self._hours_until or end // HOUR * HOUR
            if is_first or hole.end - hole.start >= SHORTEST:
                self._fillings.append(Filling(hole))

    def end_hours(self, now: int) -> None:
        """Add the hole of the hours that ended since the last call, or since the first hole."""
        with self._lock:
            start, end = self._hours_until, now // HOUR * HOUR
            # Lower after the clock was set back; 0 still means that there was no hole yet.
            self._hours_until = min(start, end)
            if 0 < start < end:
                self._hours_until = end
                self._fillings.append(Filling(Hole(start, end, only_hours=True)))

    def next(self, now: int) -> Filling | None:
        """Return the newest hole that is due. None if there is none."""
        with self._lock:
            self._fillings = [
                cut for each in self._fillings if (cut := each.up_to(now)).hole.start < now
            ]
            due = [each for each in self._fillings if each.hole.due <= now]
            return due[-1] if due else None

    def add_symbol(self, filling: Filling, symbol: str) -> None:
        """Note that Kafka has the symbol's candles."""
        with self._lock:
            filling.symbols.add(symbol)

    def remove(self, filling: Filling) -> None:
        """Note that a hole is filled."""
        with self._lock:
            self._fillings.remove(filling)
