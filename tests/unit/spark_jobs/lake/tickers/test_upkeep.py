"""A merge whose process fails."""

import sys

import pytest

from spark_jobs.lake.tickers.merge import Job
from spark_jobs.lake.tickers.upkeep import MergeError, run_merge


@pytest.mark.parametrize("files", [1, 10_000])
def test_a_process_that_ends_before_it_reads_its_job_is_a_failed_merge(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the job is larger than the pipe holds."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = Job("file:/nowhere", {}, "date=2026-11-20", [["a" * 100] * files], 1)
    with pytest.raises(MergeError, match=r"^date=2026-11-20: merge ended with status 1$"):
        run_merge(job)
