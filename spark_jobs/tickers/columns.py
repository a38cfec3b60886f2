"""The columns of what is read and reduced, with their types in Spark's words, in Arrow's and in polars'."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

# Of a ticker: amounts exact, times UTC, NULL where an exchange does not say.
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

# What the reader takes: a Kafka record, and the host that its frames came from.
MESSAGE = {
    "value": "BINARY",
    "endpoint": "STRING",
    "timestamp": "TIMESTAMP",
    "topic": "STRING",
    "partition": "INT",
    "offset": "BIGINT",
}

# What the reader makes of it, in rows of three kinds.
READ = {**TICKER, "kind": "STRING", "field": "STRING", "reason": "STRING", "payload": "BINARY"}

IS_TICKER = "ticker"
"""A ticker: `price` and what it needs are there."""
IS_DEAD_LETTER = "dead_letter"
"""What can be no ticker: `reason` says why, and `payload` has the item, the message or its rest."""
IS_UNREAD = "unread"
"""A `field` that has no value: `reason` says why, and `payload` has what was written."""

IS_DEAD_SPAN = "dead_span"
"""Only of what was reduced: dead letters that are counted. `reason` is their cause, and `payload` the
positions, as in spans.Span. These rows count all; a row that IS_DEAD_LETTER is then an example."""

# What all tickers of a symbol say of a minute; the columns of the table candles_1m.
CANDLE = {
    "exchange": "STRING",
    "symbol": "STRING",
    "minute": "TIMESTAMP",
    **dict.fromkeys(("open", "high", "low", "close"), AMOUNT),
    **dict.fromkeys(("open_sequence", "close_sequence", "updates"), "BIGINT"),
}

# What a batch is reduced to: `updates` is the number of rows of READ that one stands for, from the message at
# first_offset to that at last_offset.
REDUCED = {**READ, **CANDLE, "first_offset": "BIGINT", "last_offset": "BIGINT"}

# Files of the table tickers/, as a task returns them: the number of tickers in one, what its commit says of
# it, and the parquet. A row without content has the number of the dead letters that are in no file.
TICKER_FILE = {
    "date": "STRING",
    "exchange": "STRING",
    "tickers": "BIGINT",
    "statistics": "STRING",
    "content": "BINARY",
    "dead_letters": "BIGINT",
}

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
    """Return the Arrow types of columns that are named with Spark's."""
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])


def polars_schema(columns: Mapping[str, str]) -> pl.Schema:
    """Return the polars types of columns that are named with Spark's."""
    return as_frame(arrow_schema(columns).empty_table()).schema


def ddl(columns: Mapping[str, str]) -> str:
    """Return the schema as Spark takes it, such as `symbol STRING, offset BIGINT`."""
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())


def as_frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """Return an Arrow table as a polars frame; what can be shared is not copied."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def as_table(frame: pl.DataFrame, columns: Mapping[str, str]) -> pa.Table:
    """Return a polars frame as an Arrow table with exactly the types that Spark expects of the columns."""
    oldest = pl.CompatLevel.oldest()
    return frame.select(*columns).to_arrow(compat_level=oldest).cast(arrow_schema(columns))
