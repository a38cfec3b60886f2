"""Run `python -m extractors` as a child process."""

import re
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from core.settings import Settings
from tests.support.process import Process
from tests.support.waiting import DEADLINE

CONNECTED = re.compile(r"connected connection=(\d+) ")
ENDED = re.compile(r"connection ended connection=(\d+) ")


class Extractor(Process):
    """The extractor of one exchange."""

    stop_limit = 15.0
    """The supervisor's limit (stopwaitsecs), in seconds. On an idle machine an extractor ends within 10 s."""

    def __init__(self, exchange: str, settings: Settings, log: Path) -> None:
        self.journal = Path(settings.journal_dir)
        port = settings.exchanges[exchange].metrics_port
        self._metrics_url = f"http://{settings.metrics_host}:{port}/metrics"
        super().__init__(
            [sys.executable, "-m", "extractors", exchange], log, settings.environment()
        )

    def metric(self, name: str) -> float:
        """Return the current value of a Prometheus metric."""
        text = requests.get(self._metrics_url, timeout=DEADLINE).text
        [value] = re.findall(rf"^extractor_{name}{{.*}} (.*)$", text, re.MULTILINE)
        return float(value)

    def ended_connections(self) -> list[bool]:
        """Return, for each opened connection in order, whether it was read to its end."""
        log = self.log()
        ended = set(ENDED.findall(log))
        return [number in ended for number in CONNECTED.findall(log)]

    def waited(self) -> int:
        """Return how long its threads have waited for a processor in total, in microseconds.

        The second number of Linux's schedstat is in nanoseconds.
        """
        waited = 0
        for task in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            # A thread may end meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                waited += int(task.read_text().split()[1])
        return waited // 1000

    def memory(self) -> int:
        """Return the resident memory, in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)
