"""Measure what the upkeep of the tickers table costs, and what it saves a reader of one symbol.

    make benchmark-ticker-upkeep               an hour of 4,000 ticks per second
    make benchmark-ticker-upkeep MINUTES=10

The table is in a folder and has the files that price_history commits, one per minute and exchange. The
day is over, so the upkeep merges all files of an exchange into one sorted run. A reader of one symbol
must read the row groups whose range of symbols includes it; the share is the mean over all symbols.
"""

import argparse
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import polars as pl
from pyarrow import parquet

from benchmarks.harness.past_days import noon, write_minutes
from benchmarks.harness.report import publish
from benchmarks.harness.ticks import TICKS_A_SECOND
from spark_jobs.lake.tickers.log import TableFile, TickerLog
from spark_jobs.lake.tickers.upkeep import TickerUpkeep
from spark_jobs.tickers.files import SCHEMA

KEPT_DAYS = 90
SYMBOL = SCHEMA.get_field_index("symbol")


class Group(NamedTuple):
    """A row group as described in a file's footer: first and last symbol, compressed bytes, rows."""

    first: str
    last: str
    bytes: int
    rows: int


def groups_of(folder: Path, files: Sequence[TableFile]) -> list[Group]:
    found = []
    for file in files:
        footer = parquet.read_metadata(folder / file.path)
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            symbols: Any = group.column(SYMBOL).statistics
            size = sum(group.column(n).total_compressed_size for n in range(group.num_columns))
            found.append(Group(symbols.min, symbols.max, size, group.num_rows))
    return found


def share_of_a_symbol(groups: Sequence[Group], symbols: Sequence[str]) -> float:
    """Return the mean share of bytes that a reader of one symbol must read."""
    read = sum(
        group.bytes for symbol in symbols for group in groups if group.first <= symbol <= group.last
    )
    return read / len(symbols) / sum(group.bytes for group in groups)


def symbols_of(folder: Path, files: Sequence[TableFile]) -> list[str]:
    paths = [folder / file.path for file in files]
    return pl.scan_parquet(paths).select(pl.col("symbol").unique()).collect()["symbol"].to_list()


def of_exchange(log: TickerLog, exchange: str) -> list[TableFile]:
    return [file for file in log.files() if file.exchange == exchange]


def main() -> None:
    parser = argparse.ArgumentParser(description="What the upkeep of the tickers' table takes")
    parser.add_argument("--minutes", type=int, default=60)
    minutes = parser.parse_args().minutes
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tickers"
        log = TickerLog.open(f"file:{folder}", {}, uuid4().hex)

        def put(path: str, content: bytes) -> None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

        write_minutes(log, put, minutes, noon(1))
        exchanges = sorted({file.exchange for file in log.files()})
        before = {exchange: of_exchange(log, exchange) for exchange in exchanges}
        layout_before = {
            exchange: (groups_of(folder, files), symbols_of(folder, files))
            for exchange, files in before.items()
        }
        upkeep = TickerUpkeep(log, f"file:{folder}", {}, KEPT_DAYS)
        began = time.monotonic()
        while upkeep.look(noon(0)):
            pass
        took = time.monotonic() - began
        rows = []
        for exchange in exchanges:
            groups, symbols = layout_before[exchange]
            after = of_exchange(log, exchange)
            new = groups_of(folder, after)
            rows.append(
                {
                    "exchange": exchange,
                    "million rows": f"{sum(group.rows for group in new) / 1e6:.1f}",
                    "files": f"{len(before[exchange])} to {len(after)}",
                    "MB": f"{megabytes(before[exchange])} to {megabytes(after)}",
                    "read of one symbol": f"{100 * share_of_a_symbol(groups, symbols):.1f} % to "
                    f"{100 * share_of_a_symbol(new, symbols):.2f} %",
                }
            )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = minutes * 60 * TICKS_A_SECOND
    publish(
        "ticker_upkeep",
        f"{minutes} minutes of {TICKS_A_SECOND:,} ticks a second",
        rows,
        notes=[
            f"The merges took {took:.0f} s, {took / total * 1e6:.1f} µs a row; "
            f"{(usage.ru_utime + usage.ru_stime) / total * 1e6:.1f} µs of CPU a row."
        ],
    )


def megabytes(files: Sequence[TableFile]) -> str:
    return f"{sum(file.size for file in files) / 1e6:.1f}"


if __name__ == "__main__":
    main()
