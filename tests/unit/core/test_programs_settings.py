"""Test that each program checks the settings that it reads, and reads no others."""

import re
from pathlib import Path

import pytest

from core.settings import (
    EXCHANGE,
    EXTRACTORS,
    JOBS,
    SERVER,
    STACK,
    Program,
    SettingError,
    Settings,
    definitions,
)
from infra.paths import PROJECT

WRONG = {
    "CANDLES_RETENTION_DAYS": ("none", {JOBS}),
    "SERVER_HOST": ("0.0.0.0", {SERVER}),
    "SERVER_PORT": ("http", {SERVER}),
    "JOURNAL_LIMIT_BYTES": ("10GB", {EXTRACTORS}),
    "KAFKA_BOOTSTRAP_SERVERS": ("b.example", {EXTRACTORS, JOBS}),
    "KAFKA_CLIENT_PROPERTIES": ("/no/such/file", {EXTRACTORS, JOBS}),
    "S3_ENDPOINT_URL": ("b.example", {EXTRACTORS, JOBS, EXCHANGE}),
    "DATABASE_URL": ("b.example", {JOBS}),
    "READER_DATABASE_URL": ("b.example", {SERVER}),
    "EXCHANGE_PORT": ("http", {EXCHANGE}),
    "EXCHANGE_KUCOIN_RATE": ("0", {EXCHANGE}),
    "RAW_RETENTION_DAYS": ("1", {JOBS}),
}


@pytest.mark.parametrize("program", Program)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_setting_stops_the_programs_that_read_it_and_no_other(
    program: Program, name: str
) -> None:
    value, readers = WRONG[name]
    if program in {*readers, STACK}:
        with pytest.raises(SettingError, match=f"^{name}="):
            Settings.from_environment(program, {name: value})
    else:
        assert Settings.from_environment(program, {name: value}) == Settings()


def test_stack_reads_every_setting() -> None:
    assert all(STACK in definition.programs for definition in definitions().values())


@pytest.mark.parametrize(
    ("program", "folder"),
    [(EXTRACTORS, "extractors"), (JOBS, "spark_jobs"), (SERVER, "server")],
)
def test_settings_that_a_programs_code_names_are_those_that_it_reads(
    program: Program, folder: str
) -> None:
    known = definitions()
    read = {name.lower() for name in known if program in known[name].programs}
    named = {
        name
        for path in Path(PROJECT, folder).rglob("*.py")
        for name in re.findall(r"\bsettings\.(\w+)", path.read_text())
    }
    assert named & {name.lower() for name in known} <= read
