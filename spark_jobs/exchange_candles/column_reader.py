"""Read the candles of a message together, column by column, if this reader understands all of them.

The rows are those of reader.rows_of, the reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from exchanges.exchange import CANDLE_SECONDS, CandleSource
from spark_jobs.exchange_candles.columns import CANDLE_READ, IS_CANDLE, PRICES
from spark_jobs.exchange_candles.request import Row, requested
from spark_jobs.tickers import values
from spark_jobs.tickers.column_reader import plain_value
from spark_jobs.tickers.columns import polars_schema
from spark_jobs.tickers.fields import READERS
from spark_jobs.tickers.values import Number, Read, Unreadable

SCHEMA = polars_schema(CANDLE_READ)


def read_columns(whole: bytes, origin: Mapping[str, Any]) -> tuple[Row, pl.DataFrame] | None:
    """Return the requested span of a message, and its candles as rows of columns.CANDLE_READ.

    Return None if anything in the message is unexpected, or not written in its usual form.
    """
    try:
        span, source, candles = requested(_with_numbers(orjson.loads(whole)))
    except (orjson.JSONDecodeError, Unreadable):
        return None
    read = _read(candles, source)
    if read is None or not _are_right(read, span):
        return None
    common = {name: span[name] for name in ("exchange", "symbol", "interval", "received_at")}
    known = {**origin, **common, "kind": IS_CANDLE}
    columns = (
        pl.col(name) if name in read.columns else pl.lit(known.get(name)).cast(of).alias(name)
        for name, of in SCHEMA.items()
    )
    return span, read.with_columns(pl.from_epoch("start", "us").dt.replace_time_zone("UTC")).select(
        columns
    )


def _with_numbers(message: Any) -> Any:
    """Return a decoded object with its whole numbers as values.Number."""
    if not isinstance(message, dict):
        return message
    return {name: Number(value) if type(value) is int else value for name, value in message.items()}


def _read(candles: Sequence[Any], source: CandleSource) -> pl.DataFrame | None:
    """Return the columns of a CandleSource; `start` in microseconds since the epoch."""
    if any(type(each) is not list for each in candles):
        return None
    try:
        columns = [*zip(*candles, strict=True)]
        written = pl.DataFrame(
            [
                _written(name, columns[position])
                for name, (position, _form) in source.columns.items()
            ]
        )
        # All columns at once, because each call of polars takes as long as hundreds of values.
        read = written.select(
            _value(written.schema, name, READERS[form]).alias(name)
            for name, (_position, form) in source.columns.items()
        )
    except (ValueError, LookupError, TypeError, pl.exceptions.PolarsError):
        return None
    return None if any(read.null_count().row(0)) else read


def _written(name: str, column: Sequence[Any]) -> pl.Series:
    """Return a column as it was written.

    Raise ValueError, TypeError or PolarsError if its values are not all texts or all whole numbers.
    """
    (kind,) = set(map(type, column))
    if kind not in (str, int):
        raise TypeError(kind)
    return pl.Series(name, column, pl.String if kind is str else pl.Int64)


def _value(written: pl.Schema, name: str, read: Read) -> pl.Expr:
    """Return the values of a column, NULL for one that is not in plain form."""
    value, is_number = pl.col(name), written[name] == pl.Int64
    if not is_number and read in values.UNIT_OF_TIME:
        value, is_number = plain_value(value, values.whole_number, is_number=False), True
    return plain_value(value, read, is_number=is_number)


def _are_right(candles: pl.DataFrame, span: Row) -> bool:
    """Return whether each candle is one that reader.candle_of returns."""
    width = CANDLE_SECONDS[span["interval"]] * values.SECOND
    return bool(
        candles.select(
            (
                (pl.col("start") % width == 0)
                & (pl.col("start") <= span["received_at"])
                & (pl.min_horizontal(PRICES) > 0)
                & (pl.col("low") == pl.min_horizontal(PRICES))
                & (pl.col("high") == pl.max_horizontal(PRICES))
            ).all()
        ).item()
    )
