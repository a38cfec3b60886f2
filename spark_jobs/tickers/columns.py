"""Define the columns of messages, tickers and minutes, with their types in Spark, Arrow and polars."""

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

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
ORIGIN = {"topic": "STRING", "partition": "INT", "offset": "BIGINT", "position": "INT"}
"""Place of an item: its message in Kafka, and its position in the message."""
TICKER = {
    "exchange": "STRING",
    "symbol": "STRING",
    **dict.fromkeys(AMOUNTS, AMOUNT),
    "traded_at": "TIMESTAMP",
    "event_time": "TIMESTAMP",
    "sequence": "BIGINT",
    "received_at": "TIMESTAMP",
    "endpoint": "STRING",
    **ORIGIN,
}
"""A ticker. Amounts are exact, times are UTC, and a value that an exchange does not send is NULL."""

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
"""Output of the reader. `kind` is IS_TICKER, IS_DEAD_LETTER or IS_UNREAD."""

IS_TICKER = "ticker"
"""A ticker, with `price` and all required columns."""
IS_DEAD_LETTER = "dead_letter"
"""An item that can't be a ticker, or a message that is no array of items, or text that follows the array.
`reason` says why; `payload` has the text."""
IS_UNREAD = "unread"
"""A field of an item that has no usable value. `field` is its name, and `reason` says why; `payload` has
what the exchange wrote, shortened."""

IS_DEAD_SPAN = "dead_span"
"""A span of dead letters. `reason` is their cause; `payload` has the positions, as in spans.Span. Only
REDUCED has such rows: they count all dead letters, and its rows of kind IS_DEAD_LETTER are examples."""

CANDLE = {
    "exchange": "STRING",
    "symbol": "STRING",
    "minute": "TIMESTAMP",
    **dict.fromkeys(("open", "high", "low", "close"), AMOUNT),
    **dict.fromkeys(("open_sequence", "close_sequence", "updates"), "BIGINT"),
}
"""Candle of one symbol and minute, as in the table candles_1m."""

REDUCED = {**READ, **CANDLE, "first_offset": "BIGINT", "last_offset": "BIGINT"}
"""Rows of a reduced batch. Each represents `updates` rows of READ, from the message at first_offset to
the one at last_offset. An example of a dead letter has 0 updates, because the spans count it."""

TICKER_FILE = {
    "date": "STRING",
    "exchange": "STRING",
    "tickers": "BIGINT",
    "statistics": "STRING",
    "content": "BINARY",
    "dead_letters": "BIGINT",
}
"""A file of the table tickers/, as a task returns it: the number of tickers, the statistics for the
commit, and the parquet file as `content`. A row without `content` has the number of dead letters, which
are not written to files."""

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
