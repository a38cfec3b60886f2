"""Read many messages into rows at once, column by column: only messages that it understands completely.

Arrow's JSON reader knows the expected types. It refuses a duplicate key and a value of another type, such
as an amount without quotes or a text instead of a time: such messages are left to element_reader. What it
would wrongly accept, such as invalid UTF-8 and Inf, is left out before.

The rows are the same as element_reader's, with one exception: for a value nested a thousand levels deep,
Python's JSON reader refuses the whole message. Here only that value is skipped.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.json

from core.topics import EXCHANGE_OF_TOPIC
from exchanges.exchange import Path
from spark_jobs.tickers import values
from spark_jobs.tickers.columns import IS_TICKER, IS_UNREAD, ORIGIN, READ, as_frame, polars_schema
from spark_jobs.tickers.element_reader import CLOCK_LIMIT
from spark_jobs.tickers.fields import FIELDS, REQUIRED, UNREADABLE
from spark_jobs.tickers.values import NAME_LENGTH, SHOWN_LENGTH, Read, Unreadable

SCHEMA = polars_schema(READ)
AMOUNT = SCHEMA["price"]
NOTHING = pl.DataFrame(schema=SCHEMA)

# DECIMAL(38,18) holds 20 digits before the point and 18 after it. A cast would round longer numbers.
PLAIN_AMOUNT = r"^-?[0-9]{1,20}(\.[0-9]{1,18}0*)?$"
PLAIN_INTEGER = r"^-?[0-9]{1,18}$"
PLAIN_TIME = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6})?Z$"

BETWEEN_ITEMS, ON_LINES = "},{", "}\n{"

OF_THE_MESSAGE = ("endpoint", "timestamp", "topic", "partition", "offset")
MESSAGE = "message"
"""Column with the number of an item's message."""
WRITTEN = "written."
"""Prefix of the columns with the values of paths: a path may have the name of a ticker's column."""


def read_columns(messages: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows of columns.READ, and the messages that are left to element_reader.

    `messages` has columns.MESSAGE and one topic. All rows of a message are returned, or none.
    """
    topic: str = messages["topic"][0]
    items = _items(messages)
    if items is None:
        return NOTHING, messages
    read = _with_odd_amounts(items.with_columns(_plain_values(topic)), topic)
    not_understood = read.filter(_is_understood(topic).not_())[MESSAGE].unique().implode()
    if len(not_understood[0]):
        read = read.filter(pl.col(MESSAGE).is_in(not_understood).not_())
    return _rows(read, topic), _left(messages, read)


def _left(messages: pl.DataFrame, read: pl.DataFrame) -> pl.DataFrame:
    numbers = read[MESSAGE].unique()
    if len(numbers) == len(messages):
        return messages[:0]
    return messages.filter(pl.int_range(pl.len()).is_in(numbers.implode()).not_())


def _items(messages: pl.DataFrame) -> pl.DataFrame | None:
    """Return a row per item: OF_THE_MESSAGE, `message`, `position`, and the written value of each path.

    Skip messages that can't be parsed; return None if none can.
    """
    topic: str = messages["topic"][0]
    bodies = _bodies(messages)
    written = _parse(topic, bodies)
    if written is None:
        # One invalid message fails them all: try each, then parse the valid ones together.
        valid = [each for each in bodies.iter_slices(1) if _parse(topic, each) is not None]
        bodies = pl.concat([bodies[:0], *valid])
        written = _parse(topic, bodies)
    if written is None:
        return None
    origins = bodies.select(
        *OF_THE_MESSAGE, MESSAGE, pl.int_ranges(0, "items", dtype=pl.Int32).alias("position")
    )
    return pl.concat([origins.explode("position"), written], how="horizontal")


def _bodies(messages: pl.DataFrame) -> pl.DataFrame:
    """Return a row per message that looks like an array of objects.

    The columns are OF_THE_MESSAGE, `message`, `lines` with an item per line, and `items`, their number.
    If items are separated by anything but a comma, or contain `},{`, both are wrong, and `_parse` refuses
    the message.

    Refuse Inf: Arrow's reader takes it for a number, but JSON has no such number.
    """
    text = pl.col("text")
    is_plain = (
        text.str.starts_with("[{")
        & text.str.ends_with("}]")
        & ~text.str.contains("Inf", literal=True)
    )
    return (
        messages.select(*OF_THE_MESSAGE, _text(messages["value"]).alias("text"))
        .with_row_index(MESSAGE)
        .filter(is_plain)
        .select(
            *OF_THE_MESSAGE,
            pl.col(MESSAGE).cast(pl.Int64),
            text.str.slice(1)
            .str.head(-1)
            .str.replace_all(BETWEEN_ITEMS, ON_LINES, literal=True)
            .alias("lines"),
            (text.str.count_matches(BETWEEN_ITEMS, literal=True) + 1).cast(pl.Int64).alias("items"),
        )
    )


def _text(values: pl.Series) -> pl.Series:
    """Return values in UTF-8, which Arrow's reader does not check, as text; NULL for any other value."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:
        # One invalid value fails them all.
        return pl.Series(
            [None if each is None else _decoded(each) for each in values], dtype=pl.String
        )


def _decoded(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _parse(topic: str, bodies: pl.DataFrame) -> pl.DataFrame | None:
    """Return a row per item, in order; None if anything is unexpected."""
    types = _types(topic)
    if bodies.is_empty() or types is None:
        return None
    lines: bytes = bodies["lines"].str.join("\n").cast(pl.Binary).item()
    # The stubs do not know Arrow's buffers, which are read without a copy.
    source = cast(IO[bytes], pa.BufferReader(lines))
    # One block, so that no row is cut.
    in_one = pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        table = pa.json.read_json(
            source,
            in_one,
            pa.json.ParseOptions(explicit_schema=types, unexpected_field_behavior="ignore"),
        )
    except pa.ArrowInvalid:
        return None
    # A line has at least one object. If there are as many rows as lines, each has exactly one.
    if table.num_rows != bodies["items"].sum():
        return None
    # Flattened columns have names such as data.price, as in _column_of.
    while any(pa.types.is_struct(each) for each in table.schema.types):
        table = table.flatten()
    return as_frame(table).select(pl.all().name.prefix(WRITTEN))


@cache
def _types(topic: str) -> pa.Schema | None:
    """Return the types of the keys that are read; nested keys are structs.

    Return None if a key has a value for one path, and further keys for another: it has no single type.
    """
    numbers = _number_paths(topic)
    tree: dict[str, Any] = {UNREADABLE: pa.string()}
    for path in {path for field in FIELDS[topic].values() for path in field.paths}:
        *outer, key = path
        level = tree
        for each in outer:
            level = level.setdefault(each, {})
            if not isinstance(level, dict):
                return None
        if key in level:
            return None
        level[key] = pa.int64() if path in numbers else pa.string()
    return pa.schema(_members(tree))


@cache
def _number_paths(topic: str) -> set[Path]:
    """Return the paths of times since the epoch, which are JSON numbers."""
    return {path for field in FIELDS[topic].values() if field.is_number for path in field.paths}


def _members(tree: dict[str, Any]) -> list[tuple[str, pa.DataType]]:
    return [
        (key, pa.struct(_members(value)) if isinstance(value, dict) else value)
        for key, value in tree.items()
    ]


def _written(topic: str, name: str) -> pl.Expr:
    """Return a field's value as text, or as number if each of its paths has numbers."""
    found = [_column_of(path) for path in FIELDS[topic][name].paths]
    if not _is_number(topic, name):
        found = [each.cast(pl.String) for each in found]
    return pl.coalesce(found)


def _column_of(path: Path) -> pl.Expr:
    return pl.col(WRITTEN + ".".join(path))


def _is_number(topic: str, name: str) -> bool:
    return _number_paths(topic).issuperset(FIELDS[topic][name].paths)


@cache
def _plain_values(topic: str) -> list[pl.Expr]:
    """Return each column of the ticker; NULL if nothing is written or the value is not in plain form."""
    return [
        plain_value(_written(topic, name), field.read, is_number=_is_number(topic, name)).alias(
            name
        )
        for name, field in FIELDS[topic].items()
    ]


def plain_value(written: pl.Expr, read: Read, *, is_number: bool) -> pl.Expr:
    """Return the value as `read` does; NULL if it is not in plain form.

    `is_number`: the column has JSON numbers. A time since the epoch must be one.
    """
    if read is values.name:
        is_plain = written.str.len_chars().is_between(1, NAME_LENGTH)
        return pl.when(is_plain & ~written.str.contains("\0", literal=True)).then(written)
    if read is values.amount:
        return pl.when(written.str.contains(PLAIN_AMOUNT)).then(written).cast(AMOUNT)
    if read is values.whole_number:
        is_plain = pl.lit(True) if is_number else written.str.contains(PLAIN_INTEGER)
        return pl.when(is_plain).then(written).cast(pl.Int64)
    if read is values.iso_8601:
        is_plain = written.str.contains(PLAIN_TIME)
        text = pl.when(is_plain).then(written)
        time = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
        at = time.dt.epoch("us")
        return pl.when(at.is_between(values.EARLIEST, values.LATEST)).then(at)
    unit = values.UNIT_OF_TIME[read]
    is_plain = written.is_between(values.EARLIEST // unit, values.LATEST // unit)
    return pl.when(is_plain).then(written * unit)


def _with_odd_amounts(read: pl.DataFrame, topic: str) -> pl.DataFrame:
    """Add amounts in other forms, and columns `fault_<name>` with the reason why one can't be read."""
    amounts = [name for name, field in FIELDS[topic].items() if field.read is values.amount]
    is_odd = {
        name: _written(topic, name).is_not_null() & pl.col(name).is_null() for name in amounts
    }
    (any_odd,) = read.select(each.any().alias(name) for name, each in is_odd.items()).to_dicts()
    for name in (name for name in amounts if any_odd[name]):
        written = _written(topic, name)
        odd = read.filter(is_odd[name]).select(written.alias("written").unique()).to_series()
        found = pl.DataFrame(
            [(text, *_amount_or_fault(text)) for text in odd],
            {"written": pl.String, "amount": AMOUNT, f"fault_{name}": pl.String},
            orient="row",
        )
        # A column as key: with an expression, the other table's key would remain in the result.
        joined = read.with_columns(written=written).join(found, on="written", how="left")
        read = joined.with_columns(pl.coalesce(name, "amount").alias(name)).drop(
            "amount", "written"
        )
    return read


def _amount_or_fault(text: str) -> tuple[Decimal | None, str | None]:
    try:
        return values.amount(text), None
    except Unreadable as reason:
        return None, str(reason)


def _is_understood(topic: str) -> pl.Expr:
    """Return whether an item can't be a dead letter: it has each required value, and any price is readable.

    Items with a time out of range are left to element_reader, which shows it as it was written.
    """
    fields = FIELDS[topic]
    has_needed = pl.all_horizontal(pl.col(name).is_not_null() for name in REQUIRED)
    is_not_ahead = pl.col("timestamp").is_null() | (
        pl.col("received_at") - CLOCK_LIMIT <= pl.col("timestamp").dt.epoch("us")
    )
    has_price = pl.col("price").is_not_null() | _is_absent(topic, "price")
    times = [name for name, field in fields.items() if field.is_time and name not in REQUIRED]
    has_times = [_written(topic, name).is_null() | pl.col(name).is_not_null() for name in times]
    return pl.all_horizontal(
        has_needed, is_not_ahead, has_price, _column_of((UNREADABLE,)).is_null(), *has_times
    )


def _is_absent(topic: str, name: str) -> pl.Expr:
    return _written(topic, name).is_null() | (_written(topic, name) == "")


def _rows(read: pl.DataFrame, topic: str) -> pl.DataFrame:
    """Return tickers, and the rows of `_unread`."""
    tickers = read.select(_columns(topic, pl.lit(IS_TICKER), [*FIELDS[topic]]))
    unread = [*_unread(read, topic)]
    if not unread:
        return tickers
    return pl.concat([tickers.filter(pl.col("price") > 0), *unread])


def _unread(read: pl.DataFrame, topic: str) -> Iterator[pl.DataFrame]:
    """Yield a row for each field that can't be read, and for each price that is absent, zero or less."""
    price = pl.col("price")
    faults = {
        name.removeprefix("fault_"): pl.col(name)
        for name in read.columns
        if name.startswith("fault_") and name != "fault_price"
    }
    if not read.select((price > 0).all() & price.is_not_null().all()).item():
        no_price = pl.when(price.is_null()).then(pl.lit("is absent"))
        faults["price"] = no_price.when(price <= 0).then(pl.lit("is zero or less"))
    for name, reason in faults.items():
        shown = _written(topic, name).fill_null("null").str.slice(0, SHOWN_LENGTH)
        yield read.filter(reason.is_not_null()).select(
            _columns(
                topic,
                pl.lit(IS_UNREAD),
                ["symbol", "received_at"],
                field=pl.lit(name),
                reason=reason,
                payload=shown.str.replace_all("\0", "\ufffd", literal=True).cast(pl.Binary),
            )
        )


def _columns(topic: str, kind: pl.Expr, read: Sequence[str], **others: pl.Expr) -> list[pl.Expr]:
    """Return all columns of columns.READ: the item's origin, the named columns, and NULL for the rest."""
    known = {
        "exchange": pl.lit(EXCHANGE_OF_TOPIC[topic]),
        "kind": kind,
        **{name: pl.col(name) for name in ("endpoint", *ORIGIN, *read)},
        **others,
    }
    return [known.get(name, pl.lit(None)).cast(of).alias(name) for name, of in SCHEMA.items()]
