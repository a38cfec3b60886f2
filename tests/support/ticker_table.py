"""Create a tickers table in a folder, with batches committed as by price_history, but without Spark."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import deltalake
import polars as pl
from deltalake.transaction import AddAction

from exchanges.binance import BINANCE
from spark_jobs.lake.tickers.log import TickerLog, added_file
from spark_jobs.lake.tickers.progress import Progress
from spark_jobs.lake.tickers.upkeep import FILE_BYTES, TickerUpkeep
from spark_jobs.tickers.columns import IS_TICKER, READ, polars_schema
from spark_jobs.tickers.files import ticker_files

SCHEMA = polars_schema(READ)
NOTHING = pl.DataFrame(schema=SCHEMA)
DAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""Default time at which tickers are received."""

LONG_AFTER = datetime.now(UTC) + timedelta(days=2)
"""A time at which all days have ended and no ticker has been added for a day."""

RETENTION_DAYS = 36_500

Place = tuple[int, int, str]
"""Offset and position of a ticker, and its symbol."""


def tickers(symbols: Sequence[str], count: int, offset: int, at: datetime = DAY) -> pl.DataFrame:
    """Return rows of columns.READ: `count` tickers of one message, 1 ms apart, the symbols in turn."""
    received_at = [round(at.timestamp() * 1e6) + 1000 * number for number in range(count)]
    rows = pl.DataFrame(
        {
            "symbol": [symbols[number % len(symbols)] for number in range(count)],
            "price": pl.Series(range(1, count + 1)).cast(SCHEMA["price"]),
            "sequence": received_at,
            "received_at": pl.Series(received_at).cast(SCHEMA["received_at"]),
            "event_time": pl.Series(received_at).cast(SCHEMA["event_time"]),
            "position": pl.Series(range(count)).cast(SCHEMA["position"]),
        }
    )
    same = {
        "kind": pl.lit(IS_TICKER),
        "exchange": pl.lit("binance"),
        "topic": pl.lit(BINANCE.raw_topic),
        "partition": pl.lit(0, SCHEMA["partition"]),
        "offset": pl.lit(offset, SCHEMA["offset"]),
    }
    return pl.concat([NOTHING, rows.with_columns(**same)], how="diagonal")


class OwnTable:
    """The table in a folder, and its log as opened by one job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tickers"
        self.path = f"file:{self.folder}"
        self.log = TickerLog.open(self.path, {}, uuid4().hex)
        self.places: list[Place] = []

    def write(self, batch: pl.DataFrame, modified: datetime = DAY) -> None:
        """Commit a batch. `modified` is the commit time to record."""
        before = self.log.progress
        [offset] = batch["offset"].unique()
        end = {(BINANCE.raw_topic, 0): offset + 1}
        after = Progress(before.writer, before.batch + 1, end)
        self.log.append(
            [self._stored(file, modified) for file in ticker_files(batch).to_dicts()], after
        )
        self.places += batch.select("offset", "position", "symbol").rows()

    def write_many(self, symbols: Sequence[str], batches: int, count: int = 40) -> None:
        """Commit `batches` batches of `count` tickers each."""
        first = 1 + max((offset for offset, _position, _symbol in self.places), default=-1)
        for offset in range(first, first + batches):
            self.write(tickers(symbols, count, offset))

    def _stored(self, file: dict[str, Any], modified: datetime) -> AddAction:
        added = added_file(file, round(modified.timestamp() * 1000))
        path = self.folder / added.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file["content"])
        return added

    def upkeep(self, file_bytes: int = FILE_BYTES) -> TickerUpkeep:
        return TickerUpkeep(self.log, self.path, {}, RETENTION_DAYS, file_bytes)

    def assert_exact(self) -> None:
        """Assert that each committed ticker is stored once, and that a new job resumes after them."""
        assert stored(self.folder) == sorted(self.places)
        assert TickerLog.open(self.path, {}, "reader").progress == self.log.progress


def stored(folder: Path) -> list[Place]:
    """Return the tickers of the table, sorted, read by delta-rs alone."""
    columns = ["offset", "position", "symbol"]
    rows = deltalake.DeltaTable(str(folder)).to_pyarrow_table(columns=columns)
    return sorted(zip(*(rows[name].to_pylist() for name in columns), strict=True))
