"""Choose which files of the tickers' table to merge next: a pure function of the list of files and the time.

While a day is in progress, small files are joined so that their number stays below MAX_RUNS. Once a day
is over, all its files become one run, sorted by symbol. The list of files shows whether this was done.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from spark_jobs.lake.tickers.log import TableFile

MAX_RUNS = 40
"""Maximum number of runs in a merge: each takes some MB. A day with more takes several steps."""

REST = timedelta(hours=1)
"""Time without new files after which a past day is over: after an outage, its tickers arrive late."""

Run = Sequence[TableFile]
"""Files with different symbols, sorted by symbol."""


def next_step(files: Iterable[TableFile], now: datetime, file_bytes: int) -> list[Run]:
    """Return the runs of a partition to merge into one; none if there is nothing to do.

    Of several partitions, the newest is merged first.
    """
    partitions: dict[tuple[str, str], list[TableFile]] = defaultdict(list)
    for file in files:
        partitions[file.date, file.exchange].append(file)
    for partition in sorted(partitions, reverse=True):
        if runs := _step(partitions[partition], now, file_bytes):
            return runs
    return []


def _step(files: Sequence[TableFile], now: datetime, file_bytes: int) -> list[Run]:
    if not _is_over(files, now):
        return _small_files(files, file_bytes)
    if _is_finished(files, file_bytes):
        return []
    return sorted(chained(files), key=_size)[:MAX_RUNS]


def _is_over(files: Sequence[TableFile], now: datetime) -> bool:
    at_rest = now - REST
    newest = max(file.modified for file in files)
    return files[0].date < str(at_rest.date()) and newest < at_rest.timestamp() * 1000


def _small_files(files: Sequence[TableFile], file_bytes: int) -> list[Run]:
    """Return the smallest files, if they are many or would fill a large one: at least two, or none."""
    small = sorted((file for file in files if file.size < file_bytes // 2), key=_size_of_file)
    if len(small) < MAX_RUNS and _size(small) < file_bytes:
        return []
    joined: list[Run] = []
    size = 0
    for file in small[:MAX_RUNS]:
        size += file.size
        if size > file_bytes:
            break
        joined.append([file])
    return joined


def _is_finished(files: Sequence[TableFile], file_bytes: int) -> bool:
    """Return whether the files are one run, in order, and as few as they can be.

    Only the last file of a run may be smaller than `file_bytes`.
    """
    in_order = sorted(files, key=_symbols)
    return (
        len(files) <= 1 + _size(files) // file_bytes
        and all(one.last_symbol <= next_.first_symbol for one, next_ in pairwise(in_order))
        and not any(file.is_unsorted for file in files)
    )


def chained(files: Iterable[TableFile]) -> list[Run]:
    """Return the fewest runs that the files can form."""
    # A heap, with the run that ends first on top. The number keeps files from being compared.
    runs: list[tuple[str, int, list[TableFile]]] = []
    for number, file in enumerate(sorted(files, key=_symbols)):
        run = heapq.heappop(runs)[2] if runs and runs[0][0] < file.first_symbol else []
        run.append(file)
        heapq.heappush(runs, (file.last_symbol, number, run))
    return [run for _end, _number, run in runs]


def _symbols(file: TableFile) -> tuple[str, str]:
    return file.first_symbol, file.last_symbol


def _size_of_file(file: TableFile) -> int:
    return file.size


def _size(files: Sequence[TableFile]) -> int:
    return sum(file.size for file in files)
