"""`python -m extractors` as a child process."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import requests

from core.settings import Settings


class Extractor:
    """`python -m extractors` as a child process."""

    def __init__(self, exchange: str, settings: Settings, log: Path) -> None:
        self._log = log
        self.journal = Path(settings.journal_dir)
        ports = {"binance": settings.binance_metrics_port, "kucoin": settings.kucoin_metrics_port}
        self._metrics_url = f"http://{settings.metrics_host}:{ports[exchange]}/metrics"
        with log.open("a") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "extractors", exchange],
                env=os.environ | settings.environment(),
                stderr=stderr,
            )

    def log(self) -> str:
        return self._log.read_text()

    def terminate(self) -> int:
        """SIGTERM. Gives the exit status; fails where it takes longer than promised."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=10)

    def wait(self, timeout: float) -> int:
        """The exit status, when it ends by itself."""
        return self._process.wait(timeout)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def metric(self, name: str) -> float:
        """A value as Prometheus would have it."""
        text = requests.get(self._metrics_url, timeout=5).text
        [value] = re.findall(rf"^extractor_{name}{{.*}} (.*)$", text, re.MULTILINE)
        return float(value)

    def memory(self) -> int:
        """Bytes that are resident."""
        return int(psutil.Process(self._process.pid).memory_info().rss)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
