"""`python -m extractors` as a child process."""

import re
import sys
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
    """Then the supervisor kills it (stopwaitsecs). It ends within 10 s on a machine that is not busy."""

    def __init__(self, exchange: str, settings: Settings, log: Path) -> None:
        self.journal = Path(settings.journal_dir)
        port = settings.exchanges[exchange].metrics_port
        self._metrics_url = f"http://{settings.metrics_host}:{port}/metrics"
        super().__init__(
            [sys.executable, "-m", "extractors", exchange], log, settings.environment()
        )

    def metric(self, name: str) -> float:
        """A value as Prometheus would have it."""
        text = requests.get(self._metrics_url, timeout=DEADLINE).text
        [value] = re.findall(rf"^extractor_{name}{{.*}} (.*)$", text, re.MULTILINE)
        return float(value)

    def ended_connections(self) -> list[bool]:
        """For each connection that it opened, in their order: whether it has read it to its end."""
        log = self.log()
        ended = set(ENDED.findall(log))
        return [number in ended for number in CONNECTED.findall(log)]

    def memory(self) -> int:
        """Bytes that are resident."""
        return int(psutil.Process(self.pid).memory_info().rss)
