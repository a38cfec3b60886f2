"""Which files of the tickers' table are to be written anew: a pure function of the list of files.

A day in progress: small files are joined, so that their number stays below MOST_RUNS. A day that is over:
all files become one run, sorted by symbol, once. Whether that was done, the files themselves say.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from spark_jobs.lake.tickers.log import TableFile

# A day may hold more runs; then it takes several steps. Each run that is merged takes some MB of memory.
MOST_RUNS = 40

# A day is over when nothing has come for so long. After an outage, tickers of earlier days come late.
REST = timedelta(hours=1)

Run = Sequence[TableFile]
"""Files that hold different symbols, sorted by them."""


def next_step(files: Iterable[TableFile], now: datetime, file_bytes: int) -> list[Run]:
    """Return the runs of a partition that are to become one; none when there is nothing to do.

    Of several partitions, the newest comes first.
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
    return sorted(chained(files), key=_size)[:MOST_RUNS]


def _is_over(files: Run, now: datetime) -> bool:
    at_rest = now - REST
    newest = max(file.modified for file in files)
    return files[0].date < str(at_rest.date()) and newest < at_rest.timestamp() * 1000


def _small_files(files: Run, file_bytes: int) -> list[Run]:
    """Return the smallest files, once they are many or fill a large one: at least two, or none."""
    small = sorted((file for file in files if file.size < file_bytes // 2), key=_size_of_file)
    if len(small) < MOST_RUNS and _size(small) < file_bytes:
        return []
    joined: list[Run] = []
    size = 0
    for file in small[:MOST_RUNS]:
        size += file.size
        if size > file_bytes:
            break
        joined.append([file])
    return joined


def _is_finished(files: Run, file_bytes: int) -> bool:
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
    # The run whose end comes first is on top. The number keeps files from being compared.
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


def _size(files: Run) -> int:
    return sum(file.size for file in files)
