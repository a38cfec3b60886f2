"""Columns of the rows that are read and reduced, with their types in Spark, Arrow and polars."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

# Columns of a ticker: amounts are exact, times are UTC, and a value that an exchange does not send is
# NULL.
AMOUNT = "DECIMAL(38,18)"
AMOUNTS = (
    "price",
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "last_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "base_volume_24h",
    "quote_volume_24h",
)
PLACE = {"topic": "STRING", "partition": "INT", "offset": "BIGINT", "position": "INT"}
TICKER = {
    "exchange": "STRING",
    "symbol": "STRING",
    **dict.fromkeys(AMOUNTS, AMOUNT),
    "traded_at": "TIMESTAMP",
    "event_time": "TIMESTAMP",
    "sequence": "BIGINT",
    "received_at": "TIMESTAMP",
    "endpoint": "STRING",
    **PLACE,
}

MESSAGE = {
    "value": "BINARY",
    "endpoint": "STRING",
    "timestamp": "TIMESTAMP",
    "topic": "STRING",
    "partition": "INT",
    "offset": "BIGINT",
}
"""Input of the reader: a Kafka record, and the host that its frames came from."""

READ = {**TICKER, "kind": "STRING", "field": "STRING", "reason": "STRING", "payload": "BINARY"}
"""Output of the reader: rows of three kinds."""

IS_TICKER = "ticker"
"""A ticker, with `price` and all required columns."""
IS_DEAD_LETTER = "dead_letter"
"""An item that can't be a ticker. `reason` says why; `payload` has the item, the message or its rest."""
IS_UNREAD = "unread"
"""A `field` without a value. `reason` says why; `payload` has what was written."""

IS_DEAD_SPAN = "dead_span"
"""A span of dead letters, only in REDUCED. `reason` is their cause; `payload` has the positions, as in
spans.Span. These rows count all dead letters; a row that IS_DEAD_LETTER is then an example."""

CANDLE = {
    "exchange": "STRING",
    "symbol": "STRING",
    "minute": "TIMESTAMP",
    **dict.fromkeys(("open", "high", "low", "close"), AMOUNT),
    **dict.fromkeys(("open_sequence", "close_sequence", "updates"), "BIGINT"),
}
"""The candle of a symbol's minute; the columns of the table candles_1m."""

REDUCED = {**READ, **CANDLE, "first_offset": "BIGINT", "last_offset": "BIGINT"}
"""A batch, reduced. `updates` is the number of rows of READ that a row represents, from the message at
first_offset to the one at last_offset."""

TICKER_FILE = {
    "date": "STRING",
    "exchange": "STRING",
    "tickers": "BIGINT",
    "statistics": "STRING",
    "content": "BINARY",
    "dead_letters": "BIGINT",
}
"""Files of the table tickers/, as a task returns them: the number of tickers, the statistics for the
commit, and the parquet as `content`. A row without content has the number of dead letters, which are in
no file."""

_ARROW: Mapping[str, pa.DataType] = {
    "STRING": pa.string(),
    "BINARY": pa.binary(),
    "INT": pa.int32(),
    "BIGINT": pa.int64(),
    "TIMESTAMP": pa.timestamp("us", "UTC"),
    "DATE": pa.date32(),
    AMOUNT: pa.decimal128(38, 18),
}


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Convert columns with Spark types to an Arrow schema."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


def polars_schema(columns: Mapping[str, str]) -> pl.Schema:
    """Convert columns with Spark types to a polars schema."""
    return as_frame(arrow_schema(columns).empty_table()).schema


def ddl(columns: Mapping[str, str]) -> str:
    """Return the schema in Spark's DDL, such as `symbol STRING, offset BIGINT`."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def as_frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Return an Arrow table as a polars frame, without copying where possible."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def as_table(frame: pl.DataFrame, columns: Mapping[str, str]) -> pa.Table:
    """Return a polars frame as an Arrow table with exactly the types that Spark expects."""
    oldest = pl.CompatLevel.oldest()
    return frame.select(*columns).to_arrow(compat_level=oldest).cast(arrow_schema(columns))
