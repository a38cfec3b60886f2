"""The server as its users run it: `python -m server` in a process of its own, on a free port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

ROOT = Path(__file__).parent.parent
DEADLINE = 20.0


@dataclass(frozen=True)
class ServerProcess:
    process: subprocess.Popen[bytes]
    port: int

    def get(
        self, path: str, headers: dict[str, str] | None = None, /, **params: str
    ) -> requests.Response:
        address = f"http://127.0.0.1:{self.port}{path}"
        return requests.get(address, params=params, headers=headers, timeout=DEADLINE)

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"


@contextmanager
def running_server(
    reader_database_url: str, port: int | None = None, /, **environment: str
) -> Iterator[ServerProcess]:
    """A server that answers. It is stopped at the end."""
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "server"],
        env={
            **os.environ,
            "READER_DATABASE_URL": reader_database_url,
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": str(port),
            **environment,
        },
        cwd=ROOT,
    )
    try:
        server = ServerProcess(process, port)
        _wait_until_healthy(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_healthy(server: ServerProcess) -> None:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            server.get("/healthz").raise_for_status()
            return
        except requests.ConnectionError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
