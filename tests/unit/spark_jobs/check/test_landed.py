"""Which folders of `landing/` the audit reads."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.check.landed import hours_between
from spark_jobs.lake.hadoop_files import HadoopFiles


def test_only_folders_that_are_there_are_looked_into_however_long_the_span(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ["2024/12/31/23", "2026/11/26/23", "2026/11/27/00", "2026/11/27/03", "2026/11/27/04"]
    for hour in (*there, "tmp/11/27/03"):
        (tmp_path / hour).mkdir(parents=True)
    top = tmp_path.as_uri()
    storage = HadoopFiles(spark, top)
    looked: list[str] = []
    listed = storage.folders

    def folders(folder: str) -> list[str]:
        looked.append(folder)
        return listed(folder)

    monkeypatch.setattr(storage, "folders", folders)
    span = datetime(2026, 11, 26, 23, 59, tzinfo=UTC), datetime(2026, 11, 27, 3, tzinfo=UTC)
    assert [*hours_between(storage, top, *span)] == [f"{top}/{hour}" for hour in there[1:4]]
    years = datetime(1990, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
    looked.clear()
    assert [*hours_between(storage, top, *years)] == [f"{top}/{hour}" for hour in there]
    days = ("2024/12/31", "2026/11/26", "2026/11/27")
    assert len(looked) == len(("", "2024", "2024/12", "2026", "2026/11", *days))
