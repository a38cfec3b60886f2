"""Merge sorted runs of tickers into one, with only a small part of each run in memory."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import partial

import pyarrow as pa

from spark_jobs.tickers.files import ORDER, PARTITIONED_BY, SCHEMA

Key = tuple[str, int]
"""Values of ORDER: symbol, and microseconds since the epoch."""


class _Run:
    """The batch of a run that is in memory, without the rows already taken."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._batches = (batch for batch in batches if len(batch))
        self.rows = next(self._batches, None)

    def last(self) -> Key:
        return _key(self._loaded(), len(self._loaded()) - 1)

    def take(self, limit: Key) -> pa.RecordBatch:
        """Remove and return the rows up to the limit. Load the next batch if no row is left."""
        rows = self._loaded()
        # Take all rows if the limit is this run's last row: then each round takes at least one batch, even
        # from a file that says falsely that its rows are in ORDER.
        count = (
            len(rows)
            if self.last() <= limit
            else bisect_right(range(len(rows)), limit, key=partial(_key, rows))
        )
        self.rows = rows.slice(count) if count < len(rows) else next(self._batches, None)
        return rows.slice(0, count)

    def _loaded(self) -> pa.RecordBatch:
        assert self.rows is not None
        return self.rows


def _key(rows: pa.RecordBatch, row: int) -> Key:
    return rows.column("symbol")[row].as_py(), rows.column("received_at")[row].value


def merged(runs: Iterable[Iterable[pa.RecordBatch]]) -> Iterator[pa.Table]:
    """Yield the rows of all runs, each once and in ORDER, as tables of any size.

    The batches of each run have the columns of SCHEMA, and their rows are in ORDER.
    """
    left = [run for run in map(_Run, runs) if run.rows is not None]
    while left:
        # Rows that are not loaded yet come after the last loaded row of their run.
        limit = min(run.last() for run in left)
        taken = pa.Table.from_batches([run.take(limit) for run in left], SCHEMA)
        yield sorted_rows(taken)
        left = [run for run in left if run.rows is not None]


def sorted_rows(rows: pa.Table) -> pa.Table:
    """Return the rows in ORDER."""
    return rows.combine_chunks().sort_by([*ORDER])


def grouped(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of exactly `rows` rows; the last may have fewer."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        if count >= rows:
            joined = pa.concat_tables(waiting)
            rest = count % rows
            for start in range(0, count - rest, rows):
                yield joined.slice(start, rows)
            waiting, count = [joined.slice(count - rest)], rest
    if count:
        yield pa.concat_tables(waiting)


def with_schema(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch from a file of any version with the columns of SCHEMA.

    Columns that the version lacked are NULL. Version 0.1.0 also wrote the columns of the path; drop
    these. Raise ValueError for any other column that SCHEMA lacks.
    """
    names = batch.schema.names
    if unknown := sorted(set(names) - {*SCHEMA.names, *PARTITIONED_BY}):
        raise ValueError(f"columns {unknown} would be lost")
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in names
        else pa.nulls(len(batch), field.type)
        for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
