"""Print what is wrong with the running stack, or with the services that the settings name: make doctor.

Each finding has a remedy. Exit status: 0 if nothing is wrong, otherwise 1. Nothing is changed except for
one object below doctor/ in the bucket, which is written and deleted again.
"""

import os
import sys

from core.no_proxy import exempt_loopback
from core.settings import STACK, SettingError, Settings
from infra.doctor.report import lines, results
from infra.doctor.target import Target
from infra.stack import StackError
from infra.up import running_stack


def main() -> int:
    exempt_loopback(os.environ)
    try:
        target = target_of(Settings.from_environment(STACK))
    except SettingError as error:
        print(error, file=sys.stderr)
        return 1
    if target.stack:
        print(f"examined: the {target.stack.feed} stack in {target.stack.folder}")
    else:
        print("no stack is up; examined: the services that the settings name")
    found = 0
    for result in results(target):
        print("\n".join(lines(result)), flush=True)
        found += len(result.findings)
    print(f"findings: {found}")
    return 1 if found else 0


def target_of(settings: Settings) -> Target:
    """Return the running stack, or what the settings name if none is up."""
    try:
        stack = running_stack(settings)
    except StackError:
        return Target(settings)
    return Target(stack.settings, stack)


if __name__ == "__main__":
    sys.exit(main())
