"""The upkeep of the tickers' table: small files become large ones, expired days are removed.

Beside the batches: files are written by a process of its own, ticker_merge, and a commit takes milliseconds.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import deltalake
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from spark_jobs.lake.tickers.log import TableFile, TickerLog
from spark_jobs.lake.tickers.merge import Job, NewFile, Result
from spark_jobs.lake.tickers.plan import Run, next_step

log = logging.getLogger(__name__)

# To look costs little: the list of files is in memory.
LOOK_SECONDS = 60.0
# Listing all files of the table costs more.
VACUUM_SECONDS = 3600.0
RETRY_SECONDS = 3600.0

# A file is closed at this size, but with the last of a symbol's rows.
FILE_BYTES = 128 * 1024**2

# A merge that takes longer is assumed to hang, and is killed.
LONGEST_MERGE_SECONDS = 6 * 3600.0


class MergeError(RuntimeError):
    """A process that writes files anew has failed. Its own words are in the log before."""


class TickerUpkeep(threading.Thread):
    """Looks every minute what is to be done, for as long as the process lives.

    Batches do not depend on it: an error is logged, and all is tried again after an hour.
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
        # By partition, when it is tried again.
        self._failed: dict[tuple[str, str], float] = {}

    def run(self) -> None:
        pause: float = LOOK_SECONDS
        while True:
            time.sleep(pause)
            try:
                pause = 0 if self.look(datetime.now(UTC)) else LOOK_SECONDS
            # Whatever it is: a thread that ends would not be missed before the disk is full.
            except Exception:
                pause = RETRY_SECONDS
                log.exception("upkeep of %s failed, retry in %.0f s", self._path, pause)

    def look(self, now: datetime) -> bool:
        """Do what is due, but one merge at most. Return whether there was one: another may be due."""
        if time.monotonic() >= self._vacuum_due:
            self._vacuum_due = time.monotonic() + VACUUM_SECONDS
            try:
                self.vacuum()
            except (DeltaError, OSError):
                # Perhaps the right to delete is missing: days and files don't depend on it.
                log.exception("vacuum of %s failed, retry in %.0f s", self._path, VACUUM_SECONDS)
        first_kept = str((now - self._retention).date())
        files = self._table.files()
        if old := [file for file in files if file.date < first_kept]:
            self._table.remove(old)
            log.info("dropped table=%s before=%s files=%d", self._path, first_kept, len(old))
        self._failed = {
            partition: due for partition, due in self._failed.items() if due > time.monotonic()
        }
        kept = [
            file
            for file in files
            if file.date >= first_kept and (file.date, file.exchange) not in self._failed
        ]
        runs = next_step(kept, now, self._file_bytes)
        if runs:
            self._merge_or_postpone(runs)
        return bool(runs)

    def _merge_or_postpone(self, runs: Sequence[Run]) -> None:
        """Merge; where that fails, leave the partition out for an hour: the others go on."""
        date, exchange = runs[0][0].date, runs[0][0].exchange
        try:
            self._merge(runs)
        except MergeError:
            self._failed[date, exchange] = time.monotonic() + RETRY_SECONDS
            log.exception(
                "merge failed table=%s date=%s exchange=%s, retry in %.0f s",
                *(self._path, date, exchange, RETRY_SECONDS),
            )

    def _merge(self, runs: Sequence[Run]) -> None:
        """Put one run in the place of several."""
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

        Also those that no commit has ever named. Its commits say nothing of the job's progress, which moves
        on meanwhile.
        """
        table = deltalake.DeltaTable(self._path, storage_options=self._options)
        deleted = table.vacuum(dry_run=False, full=True)
        if deleted:
            log.info("vacuumed table=%s files=%d", self._path, len(deleted))


def run_merge(job: Job) -> Result:
    """Run ticker_merge as a process, whose memory goes back at its end. Raise MergeError if it fails.

    A thread would hold up batches: with its low priority it may wait for a core and have Python's lock.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "spark_jobs.lake.tickers.merge"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        limit = threading.Timer(LONGEST_MERGE_SECONDS, process.kill)
        limit.start()
        try:
            # The pipe stays open until the process has answered: its end is what ends the process.
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.flush()
            answer = process.stdout.read()
        finally:
            limit.cancel()
    if process.returncode:
        raise MergeError(f"{job.folder}: ticker_merge ended with status {process.returncode}")
    fields = json.loads(answer)
    return Result(fields["replaced"], [NewFile(**file) for file in fields["files"]])


def _added(new: NewFile, old: Sequence[TableFile]) -> AddAction:
    return AddAction(
        path=new.path,
        size=new.size,
        partition_values=old[0].partition,
        # That of the newest rows: a day to which nothing was added stays at rest.
        modification_time=max(file.modified for file in old),
        data_change=False,
        stats=new.statistics,
    )
