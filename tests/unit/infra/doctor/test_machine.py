"""Test what make doctor finds on this machine: ports, disks, journals, jars; and how it prints findings."""

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import Settings
from infra import ports
from infra.doctor.finding import Finding
from infra.doctor.journals import journals
from infra.doctor.machine import busy_ports, disks
from infra.doctor.report import Result, lines
from infra.doctor.target import Target
from infra.doctor.versions import jars, prerequisites
from infra.stack import stack_on_free_ports
from tests.support.journals import RECEIVED_AT, append, journal_in


def test_port_that_another_program_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "BUSY_TIMEOUT", 0.0)
    settings = stack_on_free_ports("tests/doctor").settings
    with socket.create_server(("127.0.0.1", settings.server_port)):
        (found,) = busy_ports(settings)
    assert found.problem.startswith(f"port {settings.server_port} of the server is taken by ")
    assert found.remedy == "stop it, or set another port in SERVER_PORT"
    assert [*busy_ports(settings)] == []


def test_address_on_which_nobody_may_listen_is_found() -> None:
    settings = replace(stack_on_free_ports("tests/doctor").settings, metrics_host="192.0.2.1")
    (found,) = busy_ports(settings)
    assert "can't listen on 192.0.2.1:" in found.problem
    assert found.remedy == "choose an address and a port on which this user may listen"


def test_ports_of_services_elsewhere_are_not_checked() -> None:
    assert [*busy_ports(Settings(kafka_bootstrap_servers="b-1.example.com:9092"))] == []


def test_disk_with_too_little_space_or_too_few_inodes_is_found(tmp_path: Path) -> None:
    settings = Settings(stack_dir=str(tmp_path / "later"), journal_dir=str(tmp_path / "journal"))
    space, inodes = disks(Target(settings), 10**18, 10**18)
    assert space.problem.endswith(f"GB are free on the disk of {tmp_path}, less than 1e+09")
    assert inodes.problem.endswith(f"inodes are free on the disk of {tmp_path}, less than {10**18}")
    assert [*disks(Target(settings), 1, 1)] == []


def test_journal_that_is_large_or_old_or_has_corrupt_files_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "kucoin"
    settings = Settings(journal_dir=str(tmp_path))
    with journal_in(folder) as journal:
        append(journal, range(10))
        (old,) = journals(settings)
        age = round(time.time() - RECEIVED_AT / 1e6)
        assert old.problem in {
            f"the oldest item of the journal {folder} is {seconds} s old: Kafka or landing/ lacks it"
            for seconds in range(age - 60, age + 3)
        }
        assert "the extractor kucoin runs" in old.remedy
        (large,) = journals(replace(settings, journal_limit_bytes=100), oldest=1e12)
        assert large.problem.startswith(f"the journal {folder} has ")
        assert " bytes of 100; " in large.problem
    (folder / "00000000000000000000-a.jsonl.corrupt").touch()
    (corrupt,) = journals(settings, oldest=1e12)
    assert corrupt.problem.startswith(f"1 segment(s) of {folder} could not be read")


def test_jar_of_another_version_or_without_a_version_is_found(tmp_path: Path) -> None:
    (tmp_path / "spark-sql-kafka-0-10_2.13-3.5.1.jar").touch()
    old, missing = jars(tmp_path)
    assert old.problem.startswith("the jar spark-sql-kafka-0-10 is 3.5.1, but pyspark ")
    assert missing.problem.startswith("the jar delta-spark is missing, but delta-spark ")


def test_installed_jars_and_prerequisites_have_no_finding() -> None:
    assert [*jars()] == []
    assert [*prerequisites()] == []


def test_missing_java_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/such/folder")
    (found,) = prerequisites()
    assert found.problem.startswith("missing: Java 17 or 21: none was found")


def test_findings_are_printed_aligned_with_their_remedy() -> None:
    wrong = Result("topics", [Finding("it is gone", "create it"), Finding("two", "three")])
    assert [*lines(wrong)] == [
        "wrong  topics                   it is gone",
        "                                -> create it",
        "wrong  topics                   two",
        "                                -> three",
    ]
    assert [*lines(Result("disks", []))] == ["ok     disks"]


def test_old_journal_is_found_although_its_first_segment_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "kucoin"
    with journal_in(folder) as journal:
        append(journal, range(10))
    (folder / "00000000000000000000-b.jsonl").write_bytes(b'{"s":')
    (old,) = journals(Settings(journal_dir=str(tmp_path)))
    assert old.problem.startswith(f"the oldest item of the journal {folder} is ")
