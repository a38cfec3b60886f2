"""Commit files to the tickers' table, together with the job's progress.

Batches and the upkeep commit from two threads, one at a time. Files are written before a commit, which
takes milliseconds, so neither waits for the other's files.
"""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

import deltalake
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.lake.tickers import schema
from spark_jobs.lake.tickers.progress import (
    Progress,
    TableError,
    commit_properties,
    newest_progress,
)
from spark_jobs.lake.tickers.store import has_files
from spark_jobs.tickers.files import PARTITIONED_BY

# Columns of delta-rs's list of files, in the order of TableFile's fields.
FILE_COLUMNS = (
    "path",
    "partition.date",
    "partition.exchange",
    "size_bytes",
    "modification_time",
    "min.symbol",
    "max.symbol",
)

LAST = "\U0010ffff"
"""Sorts after every symbol. A file without statistics may have any symbol."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of the table, as the Delta log describes it.

    `modified` is when its newest rows were committed, in milliseconds since the epoch.
    """

    path: str
    date: str
    exchange: str
    size: int
    modified: int
    first_symbol: str
    last_symbol: str

    @property
    def is_unsorted(self) -> bool:
        """Return whether Spark or OPTIMIZE wrote the file: both use this prefix, and declare no order."""
        return self.path.rpartition("/")[2].startswith("part-")

    @property
    def partition(self) -> dict[str, str | None]:
        """Return the values of the partition columns, which are not in the file."""
        return {"date": self.date, "exchange": self.exchange}

    def removed(self, data_change: bool) -> RemoveAction:
        return RemoveAction(
            self.path,
            data_change,
            deletion_timestamp=time.time_ns() // 1_000_000,
            size=self.size,
            partition_values=self.partition,
        )


def added_file(file: Mapping[str, Any], modified: int) -> AddAction:
    """Return the add action of a file, a row of columns.TICKER_FILE, under a new name below the table.

    `modified` is when it was written, in milliseconds since the epoch.
    """
    partition: dict[str, str | None] = {name: str(file[name]) for name in PARTITIONED_BY}
    folder = "/".join(f"{name}={value}" for name, value in partition.items())
    return AddAction(
        path=f"{folder}/{uuid4()}.zstd.parquet",
        size=len(file["content"]),
        partition_values=partition,
        modification_time=modified,
        data_change=True,
        stats=file["statistics"],
    )


class TickerLog:
    """All commits of one job. Once another job has committed, every commit raises TableError."""

    def __init__(
        self,
        path: str,
        options: dict[str, str],
        table: deltalake.DeltaTable,
        progress: Progress,
    ) -> None:
        self._path = path
        self._options = options
        self._table = table
        self._progress = progress
        self._lock = threading.Lock()
        self._lost: TableError | None = None

    @classmethod
    def open(cls, path: str, options: dict[str, str], writer: str) -> Self:
        """Open the table at `path`; create it if nothing is there.

        A table of an earlier version is brought up to date. Raise TableError for a table of a newer
        version, and for a folder with files that this job did not write.
        """
        if not deltalake.DeltaTable.is_deltatable(path, options):
            if has_files(path, options):
                raise TableError(
                    f"{path} has files that are not the tickers' table: move them elsewhere"
                )
            schema.make_table(path, options, Progress(writer, 0, {}))
        table = deltalake.DeltaTable(path, storage_options=options)
        schema.refuse_newer(table, path)
        progress = newest_progress(table, path)
        schema.bring_up_to_date(table, progress)
        return cls(path, options, table, progress)

    @property
    def progress(self) -> Progress:
        """The progress of the newest commit."""
        return self._progress

    @property
    def rules(self) -> int:
        """The number of the reading rules of the rows."""
        return schema.rules_of(self._table)

    def record_rebuild(self, begins: Offsets, former: Collection[str]) -> None:
        """Record which rows are of the present reading rules: see schema.record_rebuild."""
        schema.record_rebuild(self._table, begins, former, self._progress)

    def files(self) -> list[TableFile]:
        """Return the files of the newest version."""
        with self._lock:
            actions = pa.table(self._table.get_add_actions(flatten=True))
        # Column by column: thousands of rows as dictionaries would take long, and hold Python's lock.
        columns = [_values(actions, name) for name in FILE_COLUMNS]
        return [
            TableFile(path, str(date), exchange, size, modified, first or "", last or LAST)
            for path, date, exchange, size, modified, first, last in zip(*columns, strict=True)
        ]

    def append(self, added: Sequence[AddAction], progress: Progress) -> None:
        """Commit the files of a batch, and the progress after it."""
        with self._lock, self._older_state_noticed():
            self._commit(added, progress)

    def rearrange(self, old: Collection[TableFile], new: Sequence[AddAction]) -> None:
        """Commit the replacement of files by others with the same rows."""
        self._exchange(old, new, None, data_change=False)

    def replace(
        self, old: Collection[TableFile], new: Sequence[AddAction], progress: Progress
    ) -> None:
        """Commit the replacement of files by others with other rows, and the progress after it."""
        self._exchange(old, new, progress, data_change=True)

    def remove(self, old: Collection[TableFile]) -> None:
        """Commit the removal of files with their rows."""
        self._exchange(old, [], None, data_change=True)

    def _exchange(
        self,
        old: Collection[TableFile],
        new: Sequence[AddAction],
        progress: Progress | None,
        *,
        data_change: bool,
    ) -> None:
        removed = [each.removed(data_change=data_change) for each in old]
        with self._lock, self._older_state_noticed():
            # `old` may have been replaced by hand since it was read: rows must not become duplicates.
            self._table.update_incremental()
            self._check_newest(self._progress)
            present = _values(pa.table(self._table.get_add_actions(flatten=True)), "path")
            if gone := {each.path for each in old} - {*present}:
                raise TableError(f"{self._path}: another program has replaced {min(gone)}")
            # Without a new progress, keep that of now: a batch may have committed while this waited.
            self._commit([*new, *removed], progress or self._progress)

    def _commit(self, actions: Sequence[AddAction | RemoveAction], progress: Progress) -> None:
        if self._lost is not None:
            raise self._lost
        try:
            self._table.create_write_transaction(
                [*actions],
                "append",
                self._table.schema(),
                list(PARTITIONED_BY),
                commit_properties=commit_properties(progress),
            )
        except CommitFailedError as error:
            raise TableError(
                f"{self._path}: another program has committed meanwhile. If it is another "
                f"price_history, stop one of them: {error}"
            ) from error
        self._table.update_incremental()
        self._check_newest(progress)
        self._progress = progress

    @contextmanager
    def _older_state_noticed(self) -> Iterator[None]:
        """Raise TableError if the stored table is older than the one that this job committed last.

        delta-rs refuses such a table before it writes, but its error does not name the cause.
        """
        try:
            yield
        except DeltaError as error:
            stored = deltalake.DeltaTable(self._path, storage_options=self._options).version()
            if stored >= self._table.version():
                raise
            raise TableError(
                f"{self._path} is at version {stored}, but this job has committed {self._table.version()}: "
                "the bucket was set back to an older state. The next start resumes from its newest commit"
            ) from error

    def _check_newest(self, expected: Progress) -> None:
        found = newest_progress(self._table, self._path)
        if found != expected:
            self._lost = TableError(
                f"{self._path}: the newest commit is {found}, not {expected}: another price_history "
                "writes there. Stop one of them"
            )
            raise self._lost


def _values(actions: pa.Table, name: str) -> list[Any]:
    """Return a column of delta-rs's list of files. If it is absent, return None for each file."""
    if name not in actions.column_names:
        return [None] * len(actions)
    return list(actions[name].to_pylist())
