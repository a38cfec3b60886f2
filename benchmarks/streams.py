"""Measure latency from commit to client at 4,000 ticks per second, for clients of all or of ten symbols.

    make benchmark-streams

Runs a separate Kafka, MinIO (both idle) and Postgres, the server, one process that commits as the live job
does, and one process with all clients: 100 that follow everything, 1,000 that follow ten symbols each, then
two and four times as many, each time with 50 slow clients. This is repeated with clients that take
compressed messages: from one server, then from two that share a port. The first step is repeated with
clients that ask for the page's fields. Then only 2,000 clients follow ten symbols each, so that all
messages are small. Last, bare servers, built with websockets and with picows, send messages of the same
sizes to the clients of the first step and to those 2,000.

Time is measured from the moment at which COMMIT is sent; for a bare server, at which the first byte is
sent. `missed` is the share of batches that a client got merged into a later one. CPU is in cores.
"""

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import fmean, quantiles
from typing import NamedTuple

import psutil
import requests

from benchmarks.clients.stream_clients import Arrival
from benchmarks.harness.child import Child, child
from benchmarks.harness.measuring import TWIN_PYTHON, own_stack
from benchmarks.harness.report import publish
from benchmarks.jobs.batch_writer import BATCHES_A_SECOND, ROWS, SYMBOLS
from infra import paths, ports
from infra.stack import Stack
from infra.waiting import wait_until

EVERYTHING, TEN, SLOW = 100, 1000, 50

Row = dict[str, str]


class Load(NamedTuple):
    """Number of clients that follow all symbols, ten symbols each, and all symbols slowly."""

    everything: int
    ten: int
    slow: int


SMALL_MESSAGES = Load(0, 2 * TEN, 0)

STEPS = (1, 2, 4)
SERIES = (
    (1, "plain", STEPS),
    (1, "compressed", STEPS),
    (2, "compressed", STEPS),
    (1, "page", (1,)),
)
"""Number of server processes, form of the messages and multiples of the number of clients."""

BARE = [
    ("bare websockets", "benchmarks.clients.bare_websockets", sys.executable),
    ("bare picows", "benchmarks.rivals.bare_picows", TWIN_PYTHON),
]
"""Name, module and interpreter of the bare servers."""


class Measured(NamedTuple):
    """`large` and `small` are the mean bytes of a message to clients of all and of ten symbols."""

    row: Row
    large: int
    small: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency of the streams, from commit to client")
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with own_stack("streams") as stack:
        environment = os.environ | stack.environment()
        results: list[Measured] = []
        for processes, form, steps in SERIES:
            for step in steps:
                load = Load(step * EVERYTHING, step * TEN, SLOW)
                results.append(served(form, stack, environment, load, seconds, processes))
        results.append(served("plain", stack, environment, SMALL_MESSAGES, seconds))
        sizes = results[0].large, results[0].small
        for load in (Load(EVERYTHING, TEN, SLOW), SMALL_MESSAGES):
            for name, module, python in BARE:
                results.append(bare(name, module, python, sizes, load, seconds))
    publish("streams", f"{seconds:.0f} s a step", [result.row for result in results])


def served(
    form: str,
    stack: Stack,
    environment: dict[str, str],
    load: Load,
    seconds: float,
    processes: int = 1,
) -> Measured:
    """Measure servers on one port, with clients that take messages in this form."""
    shared, *own = ports.free_ports(1 + processes)
    with (
        ExitStack() as servers,
        child("benchmarks.jobs.batch_writer", environment=environment) as writer,
    ):
        serving = [
            servers.enter_context(server(stack.folder, environment, port, shared)) for port in own
        ]
        name = f"{processes} servers, {form}" if processes > 1 else f"server, {form}"
        return measured(name, serving, writer, shared, load, form, seconds)


def bare(
    name: str, module: str, python: str, sizes: tuple[int, int], load: Load, seconds: float
) -> Measured:
    """Measure a bare server that sends messages of the same sizes."""
    port = ports.free_ports(1)[0]
    arguments = (port, BATCHES_A_SECOND, *sizes)
    with child(module, *arguments, environment=os.environ, python=python) as process:
        return measured(name, [process.running], process, port, load, "plain", seconds)


@contextmanager
def server(
    folder: Path, environment: dict[str, str], port: int, shared: int
) -> Iterator[psutil.Process]:
    address = f"http://127.0.0.1:{port}/healthz"

    def is_up() -> bool:
        try:
            return requests.get(address, timeout=1).ok
        except requests.RequestException:
            return False

    log = folder / f"server-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            env=environment
            | {
                "SERVER_PORT": str(port),
                "SERVER_SHARED_PORT": str(shared),
                "SERVER_STREAM_LIMIT": "20000",
                "SERVER_STREAM_LIMIT_PER_ADDRESS": "20000",
            },
            cwd=paths.PROJECT,
            stderr=output,
        )
    try:
        if not wait_until(is_up, deadline=20):
            raise RuntimeError(f"the server did not come up: {log.read_text()}")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def measured(
    name: str,
    serving: Sequence[psutil.Process],
    source: Child,
    port: int,
    load: Load,
    form: str,
    seconds: float,
) -> Measured:
    with child(
        "benchmarks.clients.stream_clients", port, *load, form, environment=os.environ
    ) as clients:
        connected = time.monotonic()
        # The clients' connections cost CPU that the steady state does not.
        time.sleep(2)
        before = usage(*serving), usage(clients.running)
        time.sleep(seconds)
        after = usage(*serving), usage(clients.running)
        counted = time.monotonic() - connected
        received = clients.result()
    committed = {int(batch): at for batch, at in source.result().items()}
    arrivals = received["arrivals"]
    everything, missed = latencies(arrivals["everything"], committed)
    ten, _ = latencies(arrivals["ten"], committed)
    _, slow_missed = latencies(arrivals["slow"], committed)
    (cpu, memory), (clients_cpu, _) = before
    (cpu_after, memory_after), (clients_cpu_after, _) = after
    cores = (cpu_after - cpu) / seconds
    messages, sent = received["messages"], sum(received["bytes"].values())
    # Without slow clients: the number of rows in a merged message is not known.
    rows = messages["everything"] * ROWS + messages["ten"] * 10 * ROWS / len(SYMBOLS)
    row: Row = {
        "server": name,
        "clients": f"{load.everything} all, {load.ten} of ten, {load.slow} slow",
        "all ms: p50": milliseconds(everything, 50),
        "all p95": milliseconds(everything, 95),
        "all p99": milliseconds(everything, 99),
        "missed": f"{missed:.1%}",
        "all MB/min": f"{megabytes_per_minute(arrivals['everything']):.1f}",
        "ten ms: p50": milliseconds(ten, 50),
        "ten p95": milliseconds(ten, 95),
        "ten p99": milliseconds(ten, 99),
        "slow missed": f"{slow_missed:.1%}",
        "CPU": f"{cores:.2f}",
        "messages/s per core": f"{sum(messages.values()) / counted / cores:,.0f}",
        "rows/s per core": f"{rows / counted / cores:,.0f}",
        "MB/s per core": f"{sent / counted / cores / 1e6:.1f}",
        "MB of memory": f"{memory:.0f} to {memory_after:.0f}",
        "clients' CPU": f"{(clients_cpu_after - clients_cpu) / seconds:.2f}",
    }
    return Measured(row, mean_bytes(arrivals["everything"]), mean_bytes(arrivals["ten"]))


def megabytes_per_minute(arrivals: Sequence[Arrival]) -> float:
    """Return the MB per minute that one client receives.

    Each batch counts once, however many clients got it.
    """
    sizes = {batch: size for batch, _, _, size in arrivals}
    times = [at for _, _, at, _ in arrivals]
    return 60 * sum(sizes.values()) / (max(times) - min(times)) / 1e6 if len(sizes) > 1 else 0.0


def mean_bytes(arrivals: Sequence[Arrival]) -> int:
    return round(fmean(size for *_, size in arrivals)) if arrivals else 0


def usage(*processes: psutil.Process) -> tuple[float, float]:
    """Return the CPU seconds of processes since their start, and their memory in MB."""
    times = [each.cpu_times() for each in processes]
    memory = sum(each.memory_info().rss for each in processes)
    return sum(each.user + each.system for each in times), memory / 1e6


def latencies(
    arrivals: Sequence[Arrival], committed: dict[int, float]
) -> tuple[list[float], float]:
    """Return seconds from each message's batch to its arrival, and the share of merged batches."""
    seconds = [at - committed[batch] for batch, _, at, _ in arrivals if batch in committed]
    batches = sum(batch - previous for batch, previous, *_ in arrivals)
    return seconds, 1 - len(arrivals) / batches if batches else 0.0


def percentile(seconds: list[float], percent: int) -> float:
    """Return a percentile, infinite if only one message arrived."""
    return quantiles(seconds, n=100)[percent - 1] if len(seconds) > 1 else float("inf")


def milliseconds(seconds: list[float], percent: int) -> str:
    """Return a percentile as text; nothing if no message arrived."""
    return f"{1000 * percentile(seconds, percent):.0f}" if seconds else ""


if __name__ == "__main__":
    main()
