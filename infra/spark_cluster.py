"""Run a standalone Spark cluster on loopback (`--master spark://…`) for tests and benchmarks."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from infra import paths
from infra.ports import free_ports
from infra.stack import StackError
from infra.waiting import wait_until

HOST = "127.0.0.1"
SPARK_HOME = paths.site_packages() / "pyspark"
START_DEADLINE = 60.0
STOP_DEADLINE = 20.0
PAGE_LIMIT = 60.0
"""Timeout of requests to the driver's page, in seconds. The first is slow: its code is compiled then."""
INHERITED = ("PATH", "JAVA_HOME", "HOME", "TMPDIR")


@contextmanager
def spark_cluster(folder: Path, workers: int) -> Iterator[str]:
    """Run a master and `workers` workers of one core and 1 GB each; yield the master's URL.

    Logs and executors' files are written to `folder`. Workers inherit only INHERITED from the caller's
    environment, so a job must bring what its executors need, as on remote machines.
    Raise StackError if a worker does not come up.
    """
    port, page = free_ports(2)
    url = f"spark://{HOST}:{port}"
    folder.mkdir(parents=True)
    with ExitStack() as started:

        def start(name: str, program: str, *arguments: str) -> None:
            command = [program, "--host", HOST, *arguments]
            started.enter_context(_running(folder / f"{name}.log", command))

        start("master", "master.Master", "--port", str(port), "--webui-port", str(page))
        for number in range(1, workers + 1):
            name = f"worker-{number}"
            size = "--cores 1 --memory 1g --webui-port 0".split()
            start(name, "worker.Worker", *size, "--work-dir", str(folder / name), url)
        if not wait_until(lambda: _alive(page) == workers, deadline=START_DEADLINE):
            raise StackError(f"{workers} Spark workers were not up in time; their logs: {folder}")
        yield url


@contextmanager
def _running(log: Path, command: list[str]) -> Iterator[None]:
    environment = {each: os.environ[each] for each in INHERITED if each in os.environ}
    program, *arguments = command
    with log.open("wb") as output:
        process = subprocess.Popen(
            [SPARK_HOME / "bin" / "spark-class", f"org.apache.spark.deploy.{program}", *arguments],
            env=environment
            | {
                "SPARK_HOME": str(SPARK_HOME),
                "SPARK_LOCAL_IP": HOST,
                "SPARK_LOCAL_DIRS": str(log.with_suffix("")),
            },
            cwd=log.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    finally:
        # A worker stops its executors when it ends.
        process.terminate()
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _alive(page: int) -> int:
    """Return how many workers the master counts, 0 while its page is unavailable."""
    try:
        return int(requests.get(f"http://{HOST}:{page}/json/", timeout=5).json()["aliveworkers"])
    except requests.RequestException:
        return 0


def submit(master: str, cores: int, page: int) -> list[str]:
    """Return the spark-submit command without the script. `page` is the port of the driver's page."""
    settings = {
        "spark.cores.max": cores,
        # Start the first batch once all executors have registered, so that all work on it.
        "spark.scheduler.minRegisteredResourcesRatio": 1,
        "spark.ui.port": page,
    }
    confs = [f"--conf={name}={value}" for name, value in settings.items()]
    return [str(paths.VENV_BIN / "spark-submit"), f"--master={master}", *confs]


def executors(page: int) -> list[dict[str, Any]]:
    """Return the driver's report on its executors. In local mode the driver is the only one."""
    return [each for each in read_page(page, "executors") if each["totalCores"]]


def read_page(page: int, what: str) -> list[dict[str, Any]]:
    """Return a list, such as `executors`, from the REST API of the driver's page. `page` is its port."""
    applications = f"http://{HOST}:{page}/api/v1/applications"
    (application,) = requests.get(applications, timeout=PAGE_LIMIT).json()
    address = f"{applications}/{application['id']}/{what}"
    found: list[dict[str, Any]] = requests.get(address, timeout=PAGE_LIMIT).json()
    return found
