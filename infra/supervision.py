"""Control the supervisord of a stack over XML-RPC: start, stop and list its programs."""

import contextlib
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from core.settings import definitions
from exchanges import EXCHANGE
from infra import paths
from infra.secured.private_file import write_private
from infra.stack import STACK_VARIABLE, Stack, StackError
from infra.waiting import wait_until

CONFIGURATION = paths.PROJECT / "infra" / "supervisord.conf"
EXTRACTOR = paths.PROJECT / "infra" / "extractor.conf"
ALREADY_STARTED, NOT_RUNNING, SHUTTING_DOWN = 60, 70, 6
"""Codes of supervisord's faults."""

FAILED = ("BACKOFF", "EXITED", "FATAL")
"""States of a program that has ended by itself. A program that was never started is STOPPED."""

START_DEADLINE = 20.0
STOP_DEADLINE = 60.0
SHUTDOWN_DEADLINE = 200.0
"""In seconds. supervisord stops one program after the other; their stopwaitsecs add up to 190."""


class ShuttingDownError(StackError):
    """Raised by any call while supervisord stops its programs; it then ends."""


def socket_path(stack: Stack) -> Path:
    """Return a path outside the stack's folder: a Unix socket's path may have at most 107 bytes.

    TMPDIR may differ between the shells that control a stack, so it is not used.
    """
    name = hashlib.sha256(str(stack.folder).encode()).hexdigest()[:12]
    return Path("/tmp") / f"cryptopricesrt-{os.getuid()}-{name}.sock"


def call(stack: Stack, method: str, *arguments: object) -> Any:
    """Call a method of supervisord, such as startProcess.

    Raise OSError if supervisord does not run, ShuttingDownError if it is shutting down.
    """
    transport = SupervisorTransport(None, None, f"unix://{socket_path(stack)}")
    proxy = ServerProxy("http://127.0.0.1", transport=transport)
    try:
        return getattr(proxy.supervisor, method)(*arguments)
    except Fault as fault:
        if fault.faultCode != SHUTTING_DOWN:
            raise
        raise ShuttingDownError(
            f"the {stack.name} stack is shutting down: try again when make down has ended"
        ) from fault
    finally:
        transport.close()


def is_running(stack: Stack) -> bool:
    """Return whether supervisord runs; True also while it shuts down."""
    try:
        return bool(call(stack, "getState")["statename"] == "RUNNING")
    except ShuttingDownError:
        return True
    except (OSError, HTTPException):
        return False


def start(stack: Stack, environment: dict[str, str]) -> None:
    """Start supervisord without any program. Return when it answers.

    All programs inherit `environment`.
    """
    stack.log_folder.mkdir(parents=True, exist_ok=True)
    extractor = EXTRACTOR.read_text()
    sections = [extractor.replace("{exchange}", exchange) for exchange in EXCHANGE]
    (stack.folder / "extractors.conf").write_text("\n".join(sections))
    for name, own in stack.program_environments().items():
        write_environment(stack, name, own)
    # The programs inherit supervisord's environment, so keep all settings out of it: some are secret.
    settings = definitions()
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    environment = inherited | stack.tool_environment() | environment
    environment |= {
        STACK_VARIABLE: str(stack.folder),
        "SUPERVISOR_SOCKET": str(socket_path(stack)),
        "PROJECT": str(paths.PROJECT),
        "VENV_BIN": str(paths.VENV_BIN),
        "PROMETHEUS_ADDRESS": f"127.0.0.1:{stack.settings.prometheus_port}",
        "ALERTMANAGER_ADDRESS": f"127.0.0.1:{stack.settings.alertmanager_port}",
        # spark-submit is in the virtual environment. Kafka runs on the same Java as Spark.
        "PATH": os.pathsep.join((str(paths.VENV_BIN), *_java_home(), os.environ["PATH"])),
    }
    command = [str(paths.VENV_BIN / "supervisord"), "-c", str(CONFIGURATION)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip()}")
    if not wait_until(lambda: is_running(stack), deadline=START_DEADLINE):
        raise StackError(
            f"supervisord does not respond; its log: {stack.log_folder}/supervisord.log"
        )


def write_environment(stack: Stack, program: str, environment: dict[str, str]) -> None:
    """Write the variables that only this program gets.

    Its command, in supervisord.conf or extractor.conf, reads the file.
    """
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    write_private(stack.folder / "environments" / f"{program}.sh", "".join(lines))


def _java_home() -> list[str]:
    return [os.path.join(home, "bin")] if (home := os.environ.get("JAVA_HOME")) else []


def start_programs(stack: Stack, names: Iterable[str]) -> None:
    """Start those programs that do not run yet. Return before they are ready.

    A program that is being stopped is started when it has ended: supervisord would ignore the call.
    """
    for name in names:
        try:
            _wait_until_stopped(stack, name)
            call(stack, "startProcess", name, False)
        except Fault as fault:
            if fault.faultCode != ALREADY_STARTED:
                raise StackError(f"{name} did not start: {fault.faultString}") from fault


def _wait_until_stopped(stack: Stack, name: str) -> None:
    """Return at once unless the program is being stopped. Raise StackError if that does not end."""

    def is_stopped() -> bool:
        return bool(call(stack, "getProcessInfo", name)["statename"] != "STOPPING")

    if not wait_until(is_stopped, deadline=STOP_DEADLINE):
        raise StackError(f"{name} does not stop; its log: {stack.log_folder}/{name}.log")


def stop_programs(stack: Stack, names: Iterable[str]) -> None:
    """Stop programs and return when they have ended. Those that do not run are skipped."""
    for name in names:
        try:
            call(stack, "stopProcess", name)
        except Fault as fault:
            if fault.faultCode != NOT_RUNNING:
                raise StackError(f"{name} did not stop: {fault.faultString}") from fault


def programs(stack: Stack) -> list[dict[str, Any]]:
    """Return the state of each program: name, statename, pid, start, description, …"""
    return list(call(stack, "getAllProcessInfo"))


def stop(stack: Stack) -> int:
    """Stop every process of the stack, consumers before their sources. Return how many there were.

    Spark's temporary files are deleted.
    """
    processes = list(processes_of(stack))
    with contextlib.suppress(OSError, HTTPException):
        # Another command may have asked already: wait for the same end.
        with contextlib.suppress(ShuttingDownError):
            call(stack, "shutdown")
        psutil.wait_procs(processes, timeout=SHUTDOWN_DEADLINE)
    # A killed supervisor leaves its programs running, and a killed program its children.
    left = list(processes_of(stack))
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _gone, alive = psutil.wait_procs(left, timeout=10)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=10)
    shutil.rmtree(stack.spark_folder, ignore_errors=True)
    socket_path(stack).unlink(missing_ok=True)
    return len(processes)


def processes_of(stack: Stack) -> Iterable[psutil.Process]:
    """Yield the supervisor of the stack, its programs and their children."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(STACK_VARIABLE) == str(stack.folder):
                yield process
