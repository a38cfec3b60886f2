"""Merge files of the tickers' table into fewer, sorted ones: a program that the upkeep runs.

    python -m spark_jobs.lake.tickers.merge

It reads a Job as a line of JSON from a pipe and writes a Result. It ends as soon as the pipe is closed.
It commits nothing, so it may be killed at any moment: the upkeep deletes files that no commit names.
Because it runs beside batches and live prices, it uses one thread with the lowest priority. Its memory is
bounded by the number of runs, not by their length.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet
from pyarrow.fs import FileSystem

from spark_jobs.lake.tickers.store import file_system
from spark_jobs.tickers.files import ROWS_PER_ROW_GROUP, is_sorted, statistics, writer
from spark_jobs.tickers.merging import grouped, merged, sorted_rows, with_schema

LOWEST_PRIORITY = 19

ROWS_OF_A_BATCH = 4096
"""Rows of each run that are loaded at a time (1.3 MB). One sort covers at most the loaded rows of all
runs."""

ROWS_OF_A_PIECE = 262_144
"""Rows of an unsorted file that are sorted at once, some 80 MB."""


@dataclass(frozen=True, slots=True)
class Job:
    """Runs of files to merge into one run, in a folder below the table's path.

    In a run, each file sorts after the one before it. A new file is closed at `file_bytes`, or at up to
    twice as much to keep the rows of a symbol together.
    """

    table: str
    options: Mapping[str, str]
    folder: str
    runs: Sequence[Sequence[str]]
    file_bytes: int


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file that was written; `statistics` are for its add action."""

    path: str
    size: int
    rows: int
    statistics: str


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a merge: `files` have the rows of the files in `replaced`."""

    replaced: Sequence[str]
    files: Sequence[NewFile]


def rewritten(job: Job) -> Result:
    """Merge the runs. If any file is unsorted, merge nothing: split each unsorted file into sorted ones.

    Unsorted is a file whose metadata declares no order, such as those of Spark (version 0.1.0) and of
    OPTIMIZE. Raise ValueError if rows are missing.
    """
    store, table = file_system(job.table, job.options)
    rows_of: dict[str, int] = {}
    unsorted: list[str] = []
    for path in chain(*job.runs):
        metadata = parquet.read_metadata(f"{table}/{path}", filesystem=store)
        rows_of[path] = metadata.num_rows
        if not is_sorted(metadata):
            unsorted.append(path)
    output = _Output(store, table, job.folder, job.file_bytes)
    batches = partial(_batches, store, table)
    for path in unsorted:
        tables = (pa.Table.from_batches([batch]) for batch in batches(path))
        for rows in grouped(tables, ROWS_OF_A_PIECE):
            output.write(sorted_rows(rows))
            output.close()
    if not unsorted:
        runs = (chain.from_iterable(map(batches, run)) for run in job.runs)
        for rows in grouped(merged(runs), ROWS_PER_ROW_GROUP):
            output.write(rows)
        output.close()
    replaced = unsorted or [*rows_of]
    read = sum(rows_of[path] for path in replaced)
    written = sum(file.rows for file in output.files)
    if written != read:
        raise ValueError(f"{job.folder}: {read} rows were read, {written} written")
    return Result(replaced, output.files)


def _batches(store: FileSystem, table: str, path: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file. One row group at a time is in memory, still compressed."""
    # Times of version 0.1.0 are INT96.
    full_path, unit = f"{table}/{path}", "us"
    with parquet.ParquetFile(full_path, filesystem=store, coerce_int96_timestamp_unit=unit) as file:
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(ROWS_OF_A_BATCH, row_groups=[group]):
                yield with_schema(batch)


class _OpenFile:
    """A file that is being written."""

    def __init__(self, store: FileSystem, table: str, path: str) -> None:
        self._store = store
        self._path = path
        self._full_path = f"{table}/{path}"
        self._stream = store.open_output_stream(self._full_path)
        self._writer = writer(self._stream)
        self._last_symbol: pa.Scalar[Any] = pa.scalar("")

    def append(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, ROWS_PER_ROW_GROUP)
        self._last_symbol = rows["symbol"][len(rows) - 1]

    def size(self) -> int:
        """Return the bytes that were written, perhaps without those of the last row group."""
        return int(self._stream.tell())

    def of_last_symbol(self, rows: pa.Table) -> int:
        """Return how many of the rows, which are sorted, still have the symbol that was written last."""
        symbols = rows["symbol"]
        return len(symbols.filter(pc.equal(symbols, self._last_symbol)))

    def finish(self) -> NewFile:
        self._writer.close()
        self._stream.close()
        # Read the metadata back, to describe what the store really has.
        metadata = parquet.read_metadata(self._full_path, filesystem=self._store)
        size = self._store.get_file_info(self._full_path).size
        return NewFile(self._path, size, metadata.num_rows, statistics(metadata))


class _Output:
    """Writer of consecutive files. All rows of a symbol are in one file, as far as they fit."""

    def __init__(self, store: FileSystem, table: str, folder: str, file_bytes: int) -> None:
        self._store = store
        self._table = table
        self._folder = folder
        self._file_bytes = file_bytes
        self._file: _OpenFile | None = None
        self.files: list[NewFile] = []

    def write(self, rows: pa.Table) -> None:
        """Write rows that sort after all rows written before."""
        if self._file is not None and self._file.size() >= self._file_bytes:
            is_too_large = self._file.size() >= 2 * self._file_bytes
            rest = 0 if is_too_large else self._file.of_last_symbol(rows)
            if rest:
                self._file.append(rows.slice(0, rest))
            if rest == len(rows):
                return
            self.close()
            rows = rows.slice(rest)
        if self._file is None:
            path = f"{self._folder}/{uuid4()}.zstd.parquet"
            self._file = _OpenFile(self._store, self._table, path)
        self._file.append(rows)

    def close(self) -> None:
        """Finish the file that is being written."""
        if self._file is not None:
            self.files.append(self._file.finish())
            self._file = None


def _end_with_the_driver() -> None:
    """End this process when the driver closes the pipe. The system closes it if the driver is killed."""
    # Not sys.stdin.read: Python can't end while a thread waits in it.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    os.nice(LOWEST_PRIORITY)
    pa.set_cpu_count(1)
    print(json.dumps(asdict(rewritten(job))))


if __name__ == "__main__":
    main()
