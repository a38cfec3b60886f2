"""Read the candles of a message together, column by column: only if it understands all of them.

The rows are those of reader.rows_of, the reference.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from exchanges.exchange import CANDLE_SECONDS, CandleSource, Form
from spark_jobs.exchange_candles.columns import CANDLE_READ, IS_CANDLE, PRICES
from spark_jobs.exchange_candles.request import Row, requested
from spark_jobs.tickers import values
from spark_jobs.tickers.column_reader import AMOUNT, PLAIN_AMOUNT, PLAIN_INTEGER
from spark_jobs.tickers.columns import polars_schema
from spark_jobs.tickers.fields import READERS
from spark_jobs.tickers.values import Number, Unreadable

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
        written = [*zip(*candles, strict=True)]
        return pl.DataFrame(
            [
                _column(written[position], form).alias(name)
                for name, (position, form) in source.columns.items()
            ]
        )
    except (ValueError, LookupError, TypeError, pl.exceptions.PolarsError):
        return None


def _column(written: Sequence[Any], form: Form) -> pl.Series:
    """Return a column's values. Raise ValueError, TypeError or PolarsError if one is unusual."""
    (kind,) = set(map(type, written))
    if kind not in (str, int):
        raise TypeError(kind)
    column = pl.Series(written, dtype=pl.String if kind is str else pl.Int64)
    if form is Form.AMOUNT:
        _require(column.str.contains(PLAIN_AMOUNT))
        return column.cast(AMOUNT)
    if kind is str:
        _require(column.str.contains(PLAIN_INTEGER))
        column = column.cast(pl.Int64)
    if form is Form.INTEGER:
        return column
    unit = values.UNIT_OF_TIME.get(READERS[form])
    if unit is None:
        raise ValueError(form)
    _require(column.is_between(values.EARLIEST // unit, values.LATEST // unit))
    return column * unit


def _require(are_usual: pl.Series) -> None:
    if not are_usual.all():
        raise ValueError("a value is unusual")


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
