"""Read the durations and CPU times of a query's Spark jobs, by batch, from the driver's page."""

import re
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from infra.spark_cluster import read_page

NUMBER = re.compile(r"batch = (\d+)")


class SparkJobs(NamedTuple):
    """Spark jobs of a batch. `began` is in seconds since the epoch, the others are in seconds.

    `took` is the total duration of the jobs, `cpu` their tasks' CPU time in the JVM.
    """

    began: float
    took: float
    cpu: float


def jobs_of(page: int, query: str) -> dict[int, SparkJobs]:
    """Return the Spark jobs of the query by batch. `page` is the port of the driver's page."""
    stages = {each["stageId"]: each for each in read_page(page, "stages")}
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for job in read_page(page, "jobs"):
        described = job.get("description", "")
        batch = NUMBER.search(described)
        if described.startswith(query) and batch and "completionTime" in job:
            found[int(batch[1])].append(job)
    return {batch: _sum(jobs, stages) for batch, jobs in found.items()}


def _sum(jobs: list[dict[str, Any]], stages: dict[int, dict[str, Any]]) -> SparkJobs:
    took = sum(moment(job["completionTime"]) - moment(job["submissionTime"]) for job in jobs)
    of_jobs = [stages[number] for job in jobs for number in job["stageIds"] if number in stages]
    return SparkJobs(
        min(moment(job["submissionTime"]) for job in jobs),
        took,
        sum(stage["executorCpuTime"] for stage in of_jobs) / 1e9,
    )


def moment(text: str) -> float:
    """Parse a time such as `2026-11-26T20:31:07.123GMT` to seconds since the epoch."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fGMT").replace(tzinfo=UTC).timestamp()
