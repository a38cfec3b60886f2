"""Test that programs that end again and again are found in supervisord's log."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.doctor.finding import Finding
from infra.doctor.programs import restarted_programs


@pytest.fixture(autouse=True, params=["Europe/Berlin", "America/New_York"])
def time_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shell's time zone. supervisord's is UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


def line(minutes_ago: float, event: str) -> str:
    when = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return f"{when:%Y-%m-%d %H:%M:%S},765 WARN {event}\n"


def log_of(folder: Path, *lines: str) -> Path:
    (folder / "supervisord.log").write_text("".join(lines))
    return folder


def test_program_that_ended_three_times_within_the_last_minutes_is_found(tmp_path: Path) -> None:
    folder = log_of(
        tmp_path,
        line(12, "exited: jobs (exit status 1; not expected)"),
        line(12, "spawned: 'jobs' with pid 812"),
        line(10, "exited: kafka (terminated by SIGKILL; not expected)"),
        line(6, "exited: jobs (exit status 1; not expected)"),
        line(1, "exited: jobs (terminated by SIGKILL; not expected)"),
    )
    assert [*restarted_programs(folder)] == [
        Finding(
            "jobs has ended 3 times in the last 15 minutes, the last time: terminated by SIGKILL",
            f"{folder}/jobs.log has the reason before each start",
        )
    ]


def test_log_that_is_read_from_the_middle_of_a_line_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [line(1, "exited: jobs (exit status 1; not expected)") for _ in range(4)]
    log_of(tmp_path, *ends)
    monkeypatch.setattr("infra.doctor.programs.LOG_END", len("".join(ends)) - 1)
    (found,) = restarted_programs(tmp_path)
    assert found.problem.startswith("jobs has ended 3 times")


def test_ends_that_are_old_or_were_requested_are_not_counted(tmp_path: Path) -> None:
    folder = log_of(
        tmp_path,
        line(17, "exited: jobs (exit status 1; not expected)"),
        line(16, "exited: jobs (exit status 1; not expected)"),
        line(9, "exited: jobs (exit status 1; not expected)"),
        line(8, "exited: jobs (exit status 1; not expected)"),
        line(7, "stopped: jobs (exit status 0)"),
    )
    assert [*restarted_programs(folder)] == []
