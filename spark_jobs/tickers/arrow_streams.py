"""Return rows from executors to the driver as Arrow streams, in a BINARY column.

Spark would convert them to its own rows and back to Arrow, in the JVM. With amounts, that takes as long as
reading the messages.
"""

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
from pyspark.sql import DataFrame

from spark_jobs.tickers.columns import arrow_schema

STREAM = "stream"
SCHEMA = f"{STREAM} BINARY"
"""Schema of a DataFrame of Arrow streams, in Spark's DDL."""


def as_streams(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Return a batch with SCHEMA for each table that has rows, as mapInArrow expects."""
    for table in tables:
        if table.num_rows:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            yield pa.record_batch({STREAM: pa.array([sink.getvalue().to_pybytes()], pa.binary())})


def collected(batch: DataFrame, columns: Mapping[str, str]) -> pa.Table:
    """Compute a DataFrame of Arrow streams once. Return their rows, which have `columns`."""
    streams = batch.toArrow()[STREAM]
    tables = [pa.ipc.open_stream(each.as_buffer()).read_all() for each in streams]
    return pa.concat_tables([arrow_schema(columns).empty_table(), *tables])
