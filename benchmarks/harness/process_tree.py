"""Sample the CPU time and the memory of a process and all its children."""

import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from infra.stack import StackError

JVM, WORKERS, PYTHON = "JVM", "Python workers", "Python"
"""Parts of a process tree: Java, Spark's Python workers, and all else, such as a job's Python driver."""


class Sample(NamedTuple):
    """`at` in seconds since the epoch; `cpu` in seconds of user and system time so far, by part."""

    at: float
    cpu: Mapping[str, float]
    megabytes: float

    @property
    def seconds(self) -> float:
        return sum(self.cpu.values())


def sample(root: psutil.Process) -> Sample:
    """Return the sums over running processes. The time of ended processes is in their parents'.

    Memory is resident: shared pages count in each process.
    """
    cpu: dict[str, float] = defaultdict(float)
    resident = 0
    for each in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess), each.oneshot():
            times, part = each.cpu_times(), part_of(each.cmdline())
            cpu[part] += times.user + times.system + times.children_user + times.children_system
            resident += each.memory_info().rss
    return Sample(time.time(), cpu, resident / 1e6)


def part_of(command: Sequence[str]) -> str:
    if command and Path(command[0]).name == "java":
        return JVM
    return WORKERS if "pyspark.daemon" in command else PYTHON


def watched(
    started: psutil.Popen, log: Path, is_done: Callable[[], bool], seconds: float
) -> list[Sample]:
    """Return one sample per second until the work is done or `seconds` have passed.

    Raise StackError if the process ends first.
    """
    limit = time.monotonic() + seconds
    samples = [sample(started)]
    while not is_done() and time.monotonic() < limit:
        if started.poll() is not None:
            raise StackError(f"{started.args} ended: {log.read_text()[-2000:]}")
        time.sleep(1)
        samples.append(sample(started))
    return samples


def cpu_at(samples: Sequence[Sample], at: float, part: str | None = None) -> float:
    """Return the CPU seconds used up to a time, of one part or of all, interpolated between samples."""

    def used(each: Sample) -> float:
        return each.seconds if part is None else each.cpu.get(part, 0.0)

    index = bisect_left(samples, at, key=lambda each: each.at)
    if index == 0:
        return used(samples[0])
    if index == len(samples):
        return used(samples[-1])
    before, after = samples[index - 1], samples[index]
    share = (at - before.at) / (after.at - before.at)
    return used(before) + share * (used(after) - used(before))
