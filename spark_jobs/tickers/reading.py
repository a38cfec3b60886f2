"""Count what became of a batch's items, by exchange and cause, for the log, the metrics and readers.

{"kucoin": {"tickers": 1240, "dead_letters": {"sequence is missing": 3},
            "unread": {"bid is empty": {"count": 12, "symbol": "ETC-BTC", "written": "",
                                        "partition": 2, "offset": 1620, "position": 17}}}}
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.tickers.columns import IS_DEAD_SPAN, IS_TICKER, IS_UNREAD

Reading = Mapping[str, dict[str, Any]]

MINUTE = 60.0
MOST = 0.5
"""Maximum unreadable share of an exchange's items. Above it, its prices are not reliable."""
COLUMNS = (
    *("exchange", "symbol", "partition", "offset", "position"),
    *("kind", "field", "reason", "payload", "updates"),
)


class Share(NamedTuple):
    """Share of an exchange's items that could not be read, from 0 to 1, and the most frequent cause."""

    unreadable: float
    cause: str


NOTHING_SENT = Share(0.0, "")


def reading_of(rows: pa.Table) -> Reading:
    """Return the reading of rows with columns.REDUCED."""
    tickers = rows.filter(pc.field("kind") == IS_TICKER).group_by("exchange")
    counted = tickers.aggregate([("updates", "sum")]).to_pylist()
    found: dict[str, dict[str, Any]] = {
        row["exchange"]: {"tickers": row["updates_sum"], "dead_letters": {}, "unread": {}}
        for row in counted
    }
    # These rows are few, so they may become Python objects. Examples of dead letters are not counted.
    counts = rows.filter(pc.field("kind").isin([IS_DEAD_SPAN, IS_UNREAD]))
    for row in counts.select(list(COLUMNS)).to_pylist():
        of_exchange = found.setdefault(
            row["exchange"], {"tickers": 0, "dead_letters": {}, "unread": {}}
        )
        if row["kind"] == IS_DEAD_SPAN:
            dead = of_exchange["dead_letters"]
            dead[row["reason"]] = dead.get(row["reason"], 0) + row["updates"]
        else:
            cause = f"{row['field']} {row['reason']}"
            example = {name: row[name] for name in ("symbol", "partition", "offset", "position")}
            seen = of_exchange["unread"].setdefault(
                cause, {"count": 0, "written": row["payload"].decode(), **example}
            )
            seen["count"] += row["updates"]
    return found


def cause_of(reason: str) -> str:
    """Return a reason without the value: `price can't be read` from `price can't be read: abc`."""
    return reason.partition(":")[0]


def unreadable_of(of_exchange: Mapping[str, Any]) -> Counter[str]:
    """Return the number of items that are no tickers, by cause."""
    no_price = {
        cause: seen["count"]
        for cause, seen in of_exchange["unread"].items()
        if cause.startswith("price ")
    }
    return Counter(of_exchange["dead_letters"]) + Counter(no_price)


class LastMinute:
    """Readings of the batches of the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._readings: deque[tuple[float, Reading]] = deque()

    def add(self, reading: Reading) -> None:
        self._readings.append((self._clock(), reading))

    def shares(self) -> dict[str, Share]:
        """Return the share of each exchange that sent something."""
        while self._readings and self._readings[0][0] < self._clock() - MINUTE:
            self._readings.popleft()
        # Another thread adds readings meanwhile. The copy is made in one step.
        return shares_of(reading for _at, reading in tuple(self._readings))


def shares_of(readings: Iterable[Reading]) -> dict[str, Share]:
    tickers: Counter[str] = Counter()
    causes: dict[str, Counter[str]] = {}
    for reading in readings:
        for exchange, of_exchange in reading.items():
            tickers[exchange] += of_exchange["tickers"]
            causes.setdefault(exchange, Counter()).update(unreadable_of(of_exchange))
    return {
        exchange: Share(
            found.total() / max(1, found.total() + tickers[exchange]),
            found.most_common(1)[0][0] if found else "",
        )
        for exchange, found in causes.items()
    }
