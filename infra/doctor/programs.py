"""Check the programs of the running stack."""

from collections.abc import Iterator

from infra import supervision
from infra.doctor.finding import Finding
from infra.stack import Stack

FAILED = ("BACKOFF", "EXITED", "FATAL")
"""States of a program that has ended by itself. A program that was never started is STOPPED."""


def failed_programs(stack: Stack) -> Iterator[Finding]:
    for program in supervision.programs(stack):
        if program["statename"] in FAILED:
            yield Finding(
                f"{program['name']} is {program['statename']}: {program['description']}",
                f"the end of {stack.log_folder}/{program['name']}.log has the reason",
            )
