"""Test the samples of a process tree."""

import sys
from subprocess import PIPE

import psutil
import pytest

from benchmarks.harness.process_tree import PYTHON, sample

WAITING = [sys.executable, "-c", "print(flush=True); input()"]


def test_sample_has_cpu_time_in_seconds_and_memory_in_millions_of_bytes() -> None:
    with psutil.Popen(WAITING, stdin=PIPE, stdout=PIPE) as process:
        process.stdout.readline()
        taken = sample(process)
        assert 0 < taken.cpu[PYTHON] < 10
        assert taken.megabytes == pytest.approx(process.memory_info().rss / 1e6, rel=0.02)
        process.stdin.close()
