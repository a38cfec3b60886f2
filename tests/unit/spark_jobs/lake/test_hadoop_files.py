"""Listings of Hadoop's file system: their content, and their number of calls to the JVM."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_jobs.lake.hadoop_files import HadoopFiles


@pytest.fixture
def storage(spark: SparkSession, tmp_path: Path) -> HadoopFiles:
    return HadoopFiles(spark, tmp_path.as_uri())


def test_files_are_listed_at_any_depth(storage: HadoopFiles, tmp_path: Path) -> None:
    top = tmp_path / "raw, with blanks; and more"
    below = top / "date=2026-11-22" / "hour=8"
    below.mkdir(parents=True)
    (top / "_SUCCESS").touch()
    (below / "0.1-2.parquet").touch()
    assert sorted(storage.files(str(top))) == [
        f"file:{top}/_SUCCESS",
        f"file:{below}/0.1-2.parquet",
    ]
    assert storage.files(str(top / "nothing")) == []


def test_folders_are_listed_by_name_without_files(storage: HadoopFiles, tmp_path: Path) -> None:
    for name in ("date=2026-11-23", "date=2026-11-22/hour=8"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "date=2026-11-21").touch()
    assert storage.folders(str(tmp_path)) == ["date=2026-11-22", "date=2026-11-23"]
    assert storage.folders(str(tmp_path / "nothing")) == []


def test_a_listing_of_many_files_asks_the_jvm_as_often_as_one_of_two(
    spark: SparkSession, storage: HadoopFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for folder, count in ((few, 2), (many, 300)):
        for number in range(count):
            (folder / str(number)).mkdir(parents=True)
            (folder / str(number) / "file").touch()

    jvm: Any = spark._jvm  # noqa: SLF001
    client = jvm._gateway_client  # noqa: SLF001
    send, sent = client.send_command, list[str]()

    def counted(command: str, *rest: Any, **named: Any) -> Any:
        # py4j releases objects at any time, when Python collects them.
        if not command.startswith("m\n"):
            sent.append(command)
        return send(command, *rest, **named)

    def calls(listed: Callable[[], object]) -> int:
        sent.clear()
        listed()
        return len(sent)

    monkeypatch.setattr(client, "send_command", counted)
    assert calls(lambda: storage.files(str(few))) == calls(lambda: storage.files(str(many))) < 10
    assert calls(lambda: storage.folders(str(few))) == calls(lambda: storage.folders(str(many)))
