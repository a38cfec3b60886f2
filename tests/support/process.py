"""Start, watch and stop a program as a child process, or run one to its end."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from infra.paths import PROJECT
from tests.support.waiting import DEADLINE, Value, shown, wait_for

RunningProcess = TypeVar("RunningProcess", bound="Process")


class Process:
    """A program in a new session, started in the project's folder. Its output goes to a log file."""

    stop_limit = DEADLINE
    """Maximum time to end after SIGTERM, in seconds."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log
        # Append, to keep the log when a test restarts a program.
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env=os.environ | (environment or {}),
                # An open pipe without input, like a terminal in which nobody types.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def log(self) -> str:
        """Return the contents of the log file, including output of earlier processes."""
        return self._log.read_text()

    def is_running(self) -> bool:
        """Return whether the process runs. Close the standard input of one that has ended."""
        has_ended = self._process.poll() is not None
        if has_ended:
            self._close_stdin()
        return not has_ended

    def assert_running(self) -> None:
        """Raise AssertionError with the end of the log if the process has ended."""
        status = self._process.poll()
        assert status is None, f"ended with exit status {status}: {shown(self.log())}"

    def wait_for(
        self,
        read: Callable[[], Value],
        is_expected: Callable[[Value], object] = bool,
        *,
        deadline: float = DEADLINE,
    ) -> Value:
        """Wait as `wait_for` does, but fail immediately if the program has ended."""

        def read_while_running() -> Value:
            self.assert_running()
            return read()

        return wait_for(read_while_running, is_expected, deadline=deadline)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Return the exit status. Raise AssertionError with the log after the deadline."""
        try:
            status = self._process.wait(deadline)
        except subprocess.TimeoutExpired as late:
            message = f"still running after {deadline:g} s: {shown(self.log())}"
            raise AssertionError(message) from late
        self._close_stdin()
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and its children."""
        os.killpg(self._process.pid, number)

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(self.stop_limit)

    def kill(self) -> None:
        """Kill the process and its children with SIGKILL, if it is still running."""
        if self.is_running():
            self.signal(signal.SIGKILL)
        self._process.wait(DEADLINE)
        self._close_stdin()

    def _close_stdin(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()


@contextmanager
def running(process: RunningProcess) -> Iterator[RunningProcess]:
    """Yield a process, kill it at the end of the block, and print its log for a failed test."""
    try:
        yield process
    finally:
        process.kill()
        print(shown(process.log()))


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    status: int = 0,
    deadline: float = 600.0,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end. Raise AssertionError with its output if it exits with another status."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        env=os.environ | (environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=deadline,
    )
    assert done.returncode == status, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def installed(program: str, package: str) -> str:
    """Return the path of a program. Raise AssertionError with its Debian package if it is not installed."""
    # Debian installs servers in a folder that only root's PATH contains.
    folders = os.pathsep.join([os.environ["PATH"], "/usr/sbin"])
    path = shutil.which(program, path=folders)
    assert path is not None, f"{program} is not installed: apt-get install {package}"
    return path
