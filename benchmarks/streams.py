"""From commit to client: 4,000 ticks a second, for clients who want all of them or ten symbols.

    .venv/bin/python -m benchmarks.streams [--seconds 30] [--steps 1 2 4]

A Postgres of its own, the server as it is run, one process that commits as the live job does, and
one with all the clients. A step has so many times the clients; of those who read slowly there are
always 50. Last, the same bytes to the same clients from a bare websockets server.

The time counts from the moment that COMMIT is sent; in the bare server, that the first byte is.
`missed` are the batches that a client got within a later one.
"""

import argparse
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import quantiles

import psutil
import requests

from benchmarks.child import Child, child
from benchmarks.stream_clients import Arrival
from infra import places, ports, supervision
from infra.stack import Stack, delete, stack_on_free_ports
from infra.up import services_up, wait_until

EVERYTHING, TEN, SLOW = 100, 1000, 50

HEADINGS = (
    "clients: all + ten + slow",
    "all ms: p50",
    "p95",
    "p99",
    "missed",
    "ten ms: p50",
    "p95",
    "p99",
    "slow: missed",
    "server CPU",
    "MB before",
    "after",
    "clients' CPU",
)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parser = argparse.ArgumentParser(description="Latency of the streams, from commit to client")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--steps", type=int, nargs="+", default=[1])
    arguments = parser.parse_args()
    memory = psutil.virtual_memory().total / 2**30
    print(f"{os.cpu_count()} cores, {memory:.0f} GB, {platform.platform()}, CPython", end=" ")
    print(platform.python_version())
    print("  ".join(HEADINGS))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stack = stack_on_free_ports("benchmarks/streams")
    environment = os.environ | stack.environment()
    try:
        services_up(stack)
        for step in arguments.steps:
            with server(stack, environment) as serving:
                with child("benchmarks.batch_writer", environment=environment) as writer:
                    port = stack.settings.server_port
                    show(step, measured(serving, writer, port, step, arguments.seconds))
        port = ports.free_ports(1)[0]
        with child("benchmarks.bare_websockets", port, environment=environment) as bare:
            print("a bare websockets server:")
            show(1, measured(bare, bare, port, 1, arguments.seconds))
    finally:
        supervision.stop(stack)
        delete(stack)
        stack.folder.parent.rmdir()


@contextmanager
def server(stack: Stack, environment: dict[str, str]) -> Iterator[psutil.Process]:
    address = f"http://127.0.0.1:{stack.settings.server_port}/healthz"

    def is_up() -> bool:
        try:
            return requests.get(address, timeout=1).ok
        except requests.ConnectionError:
            return False

    log = stack.folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            env=environment
            | {"SERVER_STREAM_LIMIT": "20000", "SERVER_STREAM_LIMIT_PER_ADDRESS": "20000"},
            cwd=places.PROJECT,
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
    serving: Child | psutil.Process, source: Child, port: int, step: int, seconds: float
) -> list[str]:
    """The columns after the first."""
    numbers = (step * EVERYTHING, step * TEN, SLOW)
    with child("benchmarks.stream_clients", port, *numbers, environment=os.environ) as clients:
        # The snapshots of the last ones are on their way.
        time.sleep(2)
        before = usage(serving), usage(clients)
        time.sleep(seconds)
        after = usage(serving), usage(clients)
        arrivals = clients.result()
    committed = {int(batch): at for batch, at in source.result().items()}
    everything, missed = latencies(arrivals["everything"], committed)
    ten, _ = latencies(arrivals["ten"], committed)
    _, slow_missed = latencies(arrivals["slow"], committed)
    (cpu, memory), (clients_cpu, _) = before
    (cpu_after, memory_after), (clients_cpu_after, _) = after
    return [
        *milliseconds(everything),
        f"{missed:.1%}",
        *milliseconds(ten),
        f"{slow_missed:.1%}",
        f"{(cpu_after - cpu) / seconds:.2f}",
        f"{memory:.0f}",
        f"{memory_after:.0f}",
        f"{(clients_cpu_after - clients_cpu) / seconds:.2f}",
    ]


def usage(process: Child | psutil.Process) -> tuple[float, float]:
    """Seconds of the processor since it began, and MB of memory."""
    watched = process.usage if isinstance(process, Child) else process
    times = watched.cpu_times()
    return times.user + times.system, watched.memory_info().rss / 2**20


def latencies(
    arrivals: Sequence[Arrival], committed: dict[int, float]
) -> tuple[list[float], float]:
    """Seconds from each message's batch to its arrival; the share of batches within a later one."""
    seconds = [at - committed[batch] for batch, _, at in arrivals if batch in committed]
    batches = sum(batch - previous for batch, previous, _ in arrivals)
    return seconds, 1 - len(arrivals) / batches if batches else 0.0


def milliseconds(seconds: list[float]) -> list[str]:
    """p50, p95, p99."""
    cuts = quantiles(seconds, n=100)
    return [f"{1000 * cuts[percent - 1]:.0f}" for percent in (50, 95, 99)]


def show(step: int, columns: list[str]) -> None:
    first = f"{step * EVERYTHING} + {step * TEN} + {SLOW}"
    cells = zip([first, *columns], HEADINGS, strict=True)
    print("  ".join(f"{cell:>{len(heading)}}" for cell, heading in cells), flush=True)


if __name__ == "__main__":
    main()
