"""Write tickers to parquet files of the table `tickers/`: one per exchange and day, sorted by symbol."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import IO, Any, Literal

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from spark_jobs.tickers.columns import (
    AMOUNTS,
    IS_DEAD_LETTER,
    IS_TICKER,
    TICKER,
    TICKER_FILE,
    arrow_schema,
    as_table,
    polars_schema,
)

PARTITIONED_BY = ("date", "exchange")
"""Columns that are in a file's path, not in the file."""

COLUMNS = {name: kind for name, kind in TICKER.items() if name not in PARTITIONED_BY}
SCHEMA = arrow_schema(COLUMNS)
"""Columns of a file."""

ORDER: Sequence[tuple[str, Literal["ascending", "descending"]]] = (
    ("symbol", "ascending"),
    ("received_at", "ascending"),
)
"""The order of the rows in a file."""

WITH_STATISTICS = ("symbol", "received_at", "event_time")
"""Columns with minimum and maximum, by which readers skip files without matching rows."""

ROWS_PER_ROW_GROUP = 65_536
"""Rows per row group: 2 MB, which is the minimum that a reader of one symbol has to read."""

# Consecutive values are close, so each is stored as its difference from the previous one.
_RISING = {
    name: "DELTA_BINARY_PACKED"
    for name, kind in TICKER.items()
    if kind in ("TIMESTAMP", "BIGINT") or name == "position"
}
# Amounts seldom repeat, so a dictionary of them would take more space.
_REPEATED = [name for name in COLUMNS if name not in (*_RISING, *AMOUNTS)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ticker_files(read: pl.DataFrame) -> pl.DataFrame:
    """Return columns.TICKER_FILE from rows with columns.READ: files, and the number of dead letters."""
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
    sink = BytesIO()
    with writer(sink) as file:
        file.write_table(
            as_table(tickers.sort("symbol", "received_at"), COLUMNS), ROWS_PER_ROW_GROUP
        )
    content = sink.getvalue()
    return {
        "tickers": len(tickers),
        "statistics": statistics(parquet.read_metadata(pa.BufferReader(content))),
        "content": content,
    }


def writer(sink: IO[bytes] | pa.NativeFile) -> parquet.ParquetWriter:
    """Return the writer of a file, for tables of SCHEMA whose rows are in ORDER."""
    return parquet.ParquetWriter(
        sink,
        SCHEMA,
        compression="zstd",
        compression_level=3,
        use_dictionary=_REPEATED,  # type: ignore[arg-type]  # the stubs know no list of columns
        column_encoding=_RISING,
        sorting_columns=parquet.SortingColumn.from_ordering(SCHEMA, ORDER),
    )


def is_sorted(metadata: parquet.FileMetaData) -> bool:
    """Return whether a file's metadata says that its rows are in ORDER, as those of `writer` are."""
    schema = metadata.schema.to_arrow_schema()
    expected = parquet.SortingColumn.from_ordering(schema, ORDER)
    groups = (metadata.row_group(number) for number in range(metadata.num_row_groups))
    return all(tuple(group.sorting_columns) == expected for group in groups)


def statistics(metadata: parquet.FileMetaData) -> str:
    """Return a file's statistics for a Delta commit: see "Per-file Statistics" in Delta's protocol.

    {"numRecords": 2, "minValues": {"symbol": "BTCUSDT", "received_at": "2025-03-28T07:37:28.501Z"}, …}

    Times are in milliseconds: the minimum is rounded down, and the maximum up.
    """
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    least: dict[str, str] = {}
    greatest: dict[str, str] = {}
    nulls: dict[str, int] = {}
    for name in WITH_STATISTICS:
        column = SCHEMA.get_field_index(name)
        found: list[Any] = [group.column(column).statistics for group in groups]
        least[name] = _shown(min(each.min_raw for each in found))
        greatest[name] = _shown(max(each.max_raw for each in found), round_up=True)
        nulls[name] = sum(each.null_count for each in found)
    return json.dumps(
        {
            "numRecords": metadata.num_rows,
            "minValues": least,
            "maxValues": greatest,
            "nullCount": nulls,
        }
    )


def _shown(value: bytes | int, round_up: bool = False) -> str:
    """Return a text, or a time in microseconds since the epoch, as the statistics have it."""
    if isinstance(value, bytes):
        return value.decode()
    milliseconds = -(-value // 1000) if round_up else value // 1000
    at = EPOCH + timedelta(milliseconds=milliseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"
