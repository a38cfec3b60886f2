"""Encode candles in parts, as CSV, as a stream of Arrow batches, or as a Parquet file. No I/O."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from typing_extensions import Buffer

from server.rest.candles import Candle
from server.state.prices import instant, plain

COLUMNS = (
    *("start", "open", "high", "low", "close", "updates", "source"),
    *("base_volume", "quote_volume", "trades", "closed"),
)

TYPES: Mapping[str, pa.DataType] = {
    "start": pa.timestamp("us", "UTC"),
    "updates": pa.int64(),
    "source": pa.string(),
    "trades": pa.int64(),
    "closed": pa.bool_(),
}
"""Types of the columns that are not amounts."""

SCHEMA = pa.schema([(name, TYPES.get(name, pa.decimal128(38, 18))) for name in COLUMNS])
"""Columns of the Arrow stream and the Parquet file."""


class Encoder(Protocol):
    """Encoder of one answer."""

    def part(self, candles: Sequence[Candle]) -> bytes:
        """Return the bytes of the next candles, and of what precedes the first ones."""
        ...

    def end(self) -> bytes:
        """Return the bytes after the last candles."""
        ...


class Csv(Encoder):
    """A line of names, then a line per candle.

    Amounts have every digit, a boolean is true or false, and an unknown value is empty.
    """

    def __init__(self) -> None:
        self._has_header = False

    def part(self, candles: Sequence[Candle]) -> bytes:
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        if not self._has_header:
            writer.writerow(COLUMNS)
            self._has_header = True
        writer.writerows(map(_texts, candles))
        return lines.getvalue().encode()

    def end(self) -> bytes:
        return b"" if self._has_header else self.part([])


class _Written(io.RawIOBase):
    """Sink of pyarrow's writers: what was written since the last `take`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...

    def close(self) -> None: ...


class _Batches(Encoder):
    """A batch, or a row group, per part."""

    def __init__(self, writer: Callable[[pa.NativeFile], _Writer]) -> None:
        self._written = _Written()
        self._writer = writer(pa.PythonFile(self._written, "w"))

    def part(self, candles: Sequence[Candle]) -> bytes:
        rows = [{name: getattr(each, name) for name in COLUMNS} for each in candles]
        self._writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
        return self._written.take()

    def end(self) -> bytes:
        self._writer.close()
        return self._written.take()


def arrow() -> Encoder:
    return _Batches(lambda sink: pa.ipc.new_stream(sink, SCHEMA))


def parquet() -> Encoder:
    return _Batches(lambda sink: pq.ParquetWriter(sink, SCHEMA, compression="zstd"))


FORMATS: Mapping[str, tuple[str, Callable[[], Encoder]]] = {
    "csv": ("text/csv; charset=utf-8", Csv),
    "arrow": ("application/vnd.apache.arrow.stream", arrow),
    "parquet": ("application/vnd.apache.parquet", parquet),
}
"""Media type and encoder by format."""


def _texts(candle: Candle) -> list[str]:
    values = [getattr(candle, name) for name in COLUMNS]
    return [_text(each) for each in values]


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return instant(value) if isinstance(value, datetime) else str(value)
