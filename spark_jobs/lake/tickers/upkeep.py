"""Merge small files of the tickers' table into large ones, and remove expired days.

Batches do not wait for the upkeep: a separate process, merge.py, writes the merged files, and their
commit takes milliseconds.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from spark_jobs.lake.tickers.log import TableFile, TickerLog
from spark_jobs.lake.tickers.merge import Job, NewFile, Result
from spark_jobs.lake.tickers.plan import Run, next_step

log = logging.getLogger(__name__)

# A check costs little: the list of files is in memory.
LOOK_SECONDS = 60.0
# A vacuum costs more: it lists all files of the table.
VACUUM_SECONDS = 3600.0
RETRY_SECONDS = 3600.0

# A file is closed at this size, or later to keep the rows of a symbol together.
FILE_BYTES = 128 * 1024**2

# A merge that takes longer is assumed to hang, and is killed.
LONGEST_MERGE_SECONDS = 6 * 3600.0


class MergeError(RuntimeError):
    """A merge process has failed. Its error output precedes this error in the log."""


class TickerUpkeep(threading.Thread):
    """Thread that checks every minute what is due, until the process ends.

    Batches do not depend on it. After an error, it logs the error and tries again an hour later.
    """

    def __init__(
        self,
        table: TickerLog,
        path: str,
        options: dict[str, str],
        retention_days: int,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        super().__init__(name="ticker_upkeep", daemon=True)
        self._table = table
        self._path = path
        self._options = options
        self._retention = timedelta(days=retention_days)
        self._file_bytes = file_bytes
        self._vacuum_due = time.monotonic()
        # When to retry a failed merge, by date and exchange of its partition.
        self._retry_at: dict[tuple[str, str], float] = {}

    def run(self) -> None:
        pause: float = LOOK_SECONDS
        while True:
            time.sleep(pause)
            try:
                pause = 0 if self.look(datetime.now(UTC)) else LOOK_SECONDS
            # Catch everything: if this thread ended, nobody would notice before the disk is full.
            except Exception:
                pause = RETRY_SECONDS
                log.exception("upkeep failed table=%s retry_in=%.0f", self._path, pause)

    def look(self, now: datetime) -> bool:
        """Do what is due, with at most one merge.

        Return whether a merge was due. If so, call this again: another one may be due.
        """
        if time.monotonic() >= self._vacuum_due:
            self._vacuum_due = time.monotonic() + VACUUM_SECONDS
            try:
                self.vacuum()
            except (DeltaError, OSError):
                # Go on: the job may lack the right to delete, which dropping and merging do not need.
                log.exception("vacuum failed table=%s retry_in=%.0f", self._path, VACUUM_SECONDS)
        first_kept = str((now - self._retention).date())
        files = self._table.files()
        if old := [file for file in files if file.date < first_kept]:
            self._table.remove(old)
            log.info("dropped table=%s before=%s files=%d", self._path, first_kept, len(old))
        self._retry_at = {
            partition: due for partition, due in self._retry_at.items() if due > time.monotonic()
        }
        kept = [
            file
            for file in files
            if file.date >= first_kept and (file.date, file.exchange) not in self._retry_at
        ]
        runs = next_step(kept, now, self._file_bytes)
        if runs:
            self._merge_or_postpone(runs)
        return bool(runs)

    def _merge_or_postpone(self, runs: Sequence[Run]) -> None:
        """Merge the runs. If the merge process fails, skip only their partition for an hour."""
        date, exchange = runs[0][0].date, runs[0][0].exchange
        try:
            self._merge(runs)
        except MergeError:
            self._retry_at[date, exchange] = time.monotonic() + RETRY_SECONDS
            log.exception(
                "merge failed table=%s date=%s exchange=%s retry_in=%.0f",
                *(self._path, date, exchange, RETRY_SECONDS),
            )

    def _merge(self, runs: Sequence[Run]) -> None:
        """Replace the files that merge.py has rewritten: all files of the runs, or only the unsorted ones."""
        began = time.monotonic()
        files = {file.path: file for run in runs for file in run}
        folder = runs[0][0].path.rpartition("/")[0]
        paths = [[file.path for file in run] for run in runs]
        result = run_merge(Job(self._path, self._options, folder, paths, self._file_bytes))
        old = [files[path] for path in result.replaced]
        self._table.rearrange(old, [_added(new, old) for new in result.files])
        log.info(
            "merged table=%s date=%s exchange=%s files=%d into=%d bytes=%d seconds=%.1f",
            *(self._path, old[0].date, old[0].exchange, len(old), len(result.files)),
            *(sum(file.size for file in old), time.monotonic() - began),
        )

    def vacuum(self) -> None:
        """Delete files that no version has needed for delta.deletedFileRetentionDuration.

        This includes files that no commit has ever named. VACUUM's own commits are without the job's
        progress, because batches may advance it meanwhile.
        """
        table = deltalake.DeltaTable(self._path, storage_options=self._options)
        deleted = table.vacuum(dry_run=False, full=True)
        if deleted:
            log.info("vacuumed table=%s files=%d", self._path, len(deleted))


def run_merge(job: Job) -> Result:
    """Run merge.py as a process, which frees its memory when it ends. Raise MergeError if it fails.

    A thread with low priority would delay batches: it may wait for a core while it holds Python's lock.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "spark_jobs.lake.tickers.merge"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Signals to the job's process group must not reach the merge: it ends when the job closes the pipe.
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        limit = threading.Timer(LONGEST_MERGE_SECONDS, process.kill)
        limit.start()
        try:
            # Keep the pipe open until the process has answered: the process ends if the pipe is closed.
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(asdict(job)) + "\n")
                process.stdin.flush()
            answer = process.stdout.read()
        finally:
            limit.cancel()
            # The pipe of a process that ended early still has the job in its buffer.
            with suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode:
        raise MergeError(f"{job.folder}: merge ended with status {process.returncode}")
    fields = json.loads(answer)
    return Result(fields["replaced"], [NewFile(**file) for file in fields["files"]])


def _added(new: NewFile, old: Sequence[TableFile]) -> AddAction:
    return AddAction(
        path=new.path,
        size=new.size,
        partition_values=old[0].partition,
        # Keep the time of the newest rows: a merge must not look as if it had added rows to the day.
        modification_time=max(file.modified for file in old),
        data_change=False,
        stats=new.statistics,
    )
