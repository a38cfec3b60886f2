"""Count the system calls of a process with perf, if it is installed and permitted."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

PERF = ("perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p")


class Calls:
    """Number of system calls. None until the block has ended, or if perf can't count."""

    count: int | None = None


@contextmanager
def system_calls(pid: int) -> Iterator[Calls]:
    """Count the calls of all threads during the block. Counting slows each call down a little."""
    calls = Calls()
    if not shutil.which(PERF[0]):
        yield calls
        return
    command = [*PERF, str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as perf:
        try:
            yield calls
        finally:
            perf.send_signal(signal.SIGINT)
            _, printed = perf.communicate()
    # 144,,raw_syscalls:sys_enter,1132176,100.00,,
    count = printed.strip().splitlines()[-1].partition(",")[0] if printed.strip() else ""
    calls.count = int(count) if count.isdigit() else None
