"""Check the programs of the running stack."""

import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from infra import supervision
from infra.doctor.finding import Finding
from infra.stack import Stack

RECENT = 900.0
"""Seconds in which the ends of a program are counted."""
MOST_ENDS = 2
"""Accepted number of them. The alert ProgramRestarts has the same limits."""
LOG_END = 1 << 20
"""Bytes of supervisord's log that are read."""

# 2026-11-28 10:18:38,765 WARN exited: jobs (exit status 1; not expected)
# The year needs all its digits: the text that is read may begin in the middle of a line.
EXITED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ \w+ exited: (\S+) \(([^;]*);")


def failed_programs(stack: Stack) -> Iterator[Finding]:
    for program in supervision.programs(stack):
        if program["statename"] in supervision.FAILED:
            yield Finding(
                f"{program['name']} is {program['statename']}: {program['description']}",
                f"the end of {stack.log_folder}/{program['name']}.log has the reason",
            )
    yield from restarted_programs(stack.log_folder)


def restarted_programs(log_folder: Path) -> Iterator[Finding]:
    """Find programs that end by themselves again and again: in between, their state is RUNNING."""
    since = time.time() - RECENT
    ends: dict[str, list[str]] = {}
    # supervisord's local time is UTC: Stack.tool_environment sets TZ.
    for found in EXITED.finditer(_end_of(log_folder / "supervisord.log")):
        logged_at, program, how = found.groups()
        if datetime.fromisoformat(f"{logged_at}Z").timestamp() >= since:
            ends.setdefault(program, []).append(how)
    for program, hows in sorted(ends.items()):
        if len(hows) > MOST_ENDS:
            yield Finding(
                f"{program} has ended {len(hows)} times in the last {RECENT / 60:.0f} minutes, "
                f"the last time: {hows[-1]}",
                f"{log_folder}/{program}.log has the reason before each start",
            )


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_END))
        return file.read().decode(errors="replace")
