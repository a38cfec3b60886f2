"""Run a MinIO for one test, with a region of its own.

with own_minio(tmp_path, settings, region="eu-central-1") as settings:
    …settings have its address…
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import requests

from core.settings import Settings
from infra import paths
from infra.ports import free_ports
from infra.services import object_store
from tests.support.process import Process, running


@contextmanager
def own_minio(folder: Path, settings: Settings, *, region: str) -> Iterator[Settings]:
    """Yield once it is alive. It is killed at the end of the block."""
    port, console = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    own = replace(settings, s3_endpoint_url=url, s3_console_port=console)
    environment = object_store.environment(own) | {"MINIO_SITE_REGION": region}
    command: list[str | Path] = [paths.TOOLS / "bin" / "minio", "server", folder / "minio"]
    with running(Process(command, folder / "minio.log", environment)) as minio:
        minio.wait_for(lambda: _is_alive(url))
        yield own


def _is_alive(url: str) -> bool:
    try:
        return requests.get(f"{url}/minio/health/live", timeout=5).ok
    except requests.ConnectionError:
        return False
