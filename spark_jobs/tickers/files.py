"""Tickers to parquet files of the table `tickers/`: one of an exchange and a day, sorted by symbol."""

import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import polars as pl
from pyarrow import parquet

from spark_jobs.tickers.columns import (
    AMOUNTS,
    IS_DEAD_LETTER,
    IS_TICKER,
    TICKER,
    TICKER_FILE,
    as_table,
    polars_schema,
)

PARTITIONED_BY = ("date", "exchange")
"""Columns that are in a file's path, not in the file."""

WITH_STATISTICS = ("symbol", "received_at", "event_time")
"""Columns by whose least and greatest values a reader leaves out files that hold nothing of interest."""

# Neighbours are close: each number is kept as its distance from the one before.
_RISING = {
    name: "DELTA_BINARY_PACKED"
    for name, kind in TICKER.items()
    if kind in ("TIMESTAMP", "BIGINT") or name == "position"
}
# Amounts seldom come again, so that a dictionary of them would cost room.
_REPEATED = [name for name in TICKER if name not in (*_RISING, *AMOUNTS, *PARTITIONED_BY)]

MILLISECOND = timedelta(milliseconds=1)


def ticker_files(read: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.TICKER_FILE of rows with columns.READ: files, and the number of dead letters."""
    tickers = read.filter(pl.col("kind") == IS_TICKER).select(
        *TICKER, date=pl.col("received_at").dt.date().cast(pl.String)
    )
    files = [
        {"date": date, "exchange": exchange, **_file(rows)}
        for (date, exchange), rows in tickers.group_by(*PARTITIONED_BY)
    ]
    dead = read.select(pl.col("kind") == IS_DEAD_LETTER).sum().item()
    rows = [*files, {"dead_letters": dead}] if dead else files
    return pl.DataFrame(rows, schema=polars_schema(TICKER_FILE))


def _file(tickers: pl.DataFrame) -> dict[str, Any]:
    content = BytesIO()
    rows = as_table(tickers.sort("symbol", "received_at"), TICKER).drop_columns(["exchange"])
    parquet.write_table(
        rows,
        content,
        compression="zstd",
        compression_level=3,
        use_dictionary=_REPEATED,  # type: ignore[arg-type]  # the stubs know no list of columns
        column_encoding=_RISING,
    )
    return {
        "tickers": len(tickers),
        "statistics": statistics(tickers),
        "content": content.getvalue(),
    }


def statistics(tickers: pl.DataFrame) -> str:
    """Return what a Delta commit says of a file, as in Delta's protocol, "Per-file Statistics".

    {"numRecords": 2, "minValues": {"symbol": "BTCUSDT", "received_at": "2025-03-28T07:37:28.501Z"}, …}

    Times are in milliseconds there: the least is rounded down, and the greatest up.
    """
    columns = tickers.select(WITH_STATISTICS)
    times = columns.select(pl.selectors.datetime()).columns
    return json.dumps(
        {
            "numRecords": len(tickers),
            "minValues": columns.min().with_columns(_milliseconds(times)).row(0, named=True),
            "maxValues": columns.max()
            .with_columns(pl.col(times) + MILLISECOND - timedelta(microseconds=1))
            .with_columns(_milliseconds(times))
            .row(0, named=True),
            "nullCount": columns.null_count().row(0, named=True),
        }
    )


def _milliseconds(times: list[str]) -> pl.Expr:
    return pl.col(times).dt.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
