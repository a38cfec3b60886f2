"""Sample the CPU time and the memory of a process and of everything that it started."""

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
"""Parts of a tree: Java, Spark's Python workers, and all else, such as a job's Python driver."""


class Sample(NamedTuple):
    """`at` in seconds since the epoch; `cpu` in seconds of user and system time so far, by part."""

    at: float
    cpu: Mapping[str, float]
    megabytes: float

    @property
    def seconds(self) -> float:
        return sum(self.cpu.values())


def sample(root: psutil.Process) -> Sample:
    """Return the sums of the living processes; the time of those that ended is in their parents'.

    Memory is resident: what two processes share counts in each.
    """
    cpu: dict[str, float] = defaultdict(float)
    resident = 0
    for each in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess), each.oneshot():
            times, part = each.cpu_times(), part_of(each.cmdline())
            cpu[part] += times.user + times.system + times.children_user + times.children_system
            resident += each.memory_info().rss
    return Sample(time.time(), cpu, resident / 2**20)


def part_of(command: Sequence[str]) -> str:
    if command and Path(command[0]).name == "java":
        return JVM
    return WORKERS if "pyspark.daemon" in command else PYTHON


def watched(
    started: psutil.Popen, log: Path, is_done: Callable[[], bool], seconds: float
) -> list[Sample]:
    """Return a sample of each second until it is done, or `seconds` have passed.

    Raise StackError when the process ends before.
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
    """Return the seconds of CPU time at that moment, of one part or of all, between two samples."""

    def used(each: Sample) -> float:
        return each.seconds if part is None else each.cpu.get(part, 0.0)

    place = bisect_left(samples, at, key=lambda each: each.at)
    if place == 0:
        return used(samples[0])
    if place == len(samples):
        return used(samples[-1])
    before, after = samples[place - 1], samples[place]
    share = (at - before.at) / (after.at - before.at)
    return used(before) + share * (used(after) - used(before))
