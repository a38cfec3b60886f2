"""Compute the figures of one run over a backlog. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.harness.process_tree import Sample, cpu_at


class Progress(NamedTuple):
    """Number of ticks committed by a time, in seconds since the epoch."""

    ticks: int
    at: float


class Run(NamedTuple):
    """`began` is the start of the process. `progress` has at least two commits."""

    began: float
    progress: Sequence[Progress]
    samples: Sequence[Sample]

    @property
    def ticks(self) -> int:
        return self.progress[-1].ticks

    @property
    def seconds(self) -> float:
        return self.progress[-1].at - self.began

    @property
    def rate(self) -> float:
        """Ticks per second from the start of the process."""
        return self.ticks / self.seconds

    @property
    def steady_rate(self) -> float:
        """Ticks per second from the first commit on."""
        first, last = self.progress[0], self.progress[-1]
        return (last.ticks - first.ticks) / (last.at - first.at)

    @property
    def cpu(self) -> float:
        """CPU seconds up to the last commit."""
        return cpu_at(self.samples, self.progress[-1].at)

    @property
    def cpu_of_a_tick(self) -> float:
        """CPU time per tick, in microseconds."""
        return 1e6 * self.cpu / self.ticks
