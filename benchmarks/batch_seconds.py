"""Measure how shorter batches affect latency from the exchange to Kafka, messages and CPU.

    make benchmark-batch-seconds

Runs the replay exchange, both extractors, Kafka and the live job, in steps: first Binance's array as it
was (collected for 1 s) and as it is (sent immediately); then KuCoin's batches of 1, 0.5, 0.2 and 0.1 s.
Latency is from the exchange's send of a ticker to the broker's append of its message, on one clock. CPU
is in percent of a core.
"""

import argparse
import os
import time
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from statistics import quantiles
from typing import NamedTuple

import orjson
import psutil

from benchmarks.extractors.batch_seconds_exchange import Sends, identity
from benchmarks.extractors.topic import Offsets, messages_between, offsets
from benchmarks.harness.child import child
from benchmarks.harness.measuring import PYTHON, SPARK_SUBMIT, own_stack, process
from benchmarks.harness.process_tree import sample
from benchmarks.harness.report import publish
from core.topics import TOPIC_OF_EXCHANGE
from infra import supervision
from infra.stack import Stack, StackError
from infra.waiting import wait_until

JOB_WARM_SECONDS = 30.0
"""Additional time to wait before the first measurement, while the JVM compiles."""

STEP_WARM_SECONDS = 4.0
"""Time to wait before each measurement, once both exchanges' first messages are in Kafka."""

START_LIMIT = 60.0
CLOCK_TOLERANCE = 0.002
"""Seconds by which an append may seem to precede the send: the broker's timestamps have ms precision."""


class Step(NamedTuple):
    name: str
    binance: str
    """Module that runs Binance's extractor."""
    kucoin_batch_seconds: float


COLLECTED, IMMEDIATE = "benchmarks.extractors.batch_seconds_binance", "extractors"
STEPS = (
    Step("Binance 1 s, as it was; KuCoin 1 s", COLLECTED, 1.0),
    Step("Binance at once; KuCoin 1 s", IMMEDIATE, 1.0),
    Step("Binance at once; KuCoin 0.5 s", IMMEDIATE, 0.5),
    Step("Binance at once; KuCoin 0.2 s", IMMEDIATE, 0.2),
    Step("Binance at once; KuCoin 0.1 s", IMMEDIATE, 0.1),
)


class Measured(NamedTuple):
    """Results of a step: duration, CPU seconds by program, and offsets before and after by exchange."""

    step: Step
    seconds: float
    cpu: Mapping[str, float]
    offsets: Mapping[str, tuple[Offsets, Offsets]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what a shorter batch costs and gains")
    parser.add_argument("--seconds", type=float, default=20)
    seconds = parser.parse_args().seconds
    with own_stack("batch_seconds") as stack:
        port = stack.settings.exchange_port
        log = stack.log_folder / "job.log"
        with (
            child(
                "benchmarks.extractors.batch_seconds_exchange", port, environment=os.environ
            ) as exchange,
            process([SPARK_SUBMIT, "spark_jobs/live_prices.py"], stack, stack.settings, log) as job,
        ):
            measured = [
                run(step, seconds, stack, job, 0.0 if number else JOB_WARM_SECONDS)
                for number, step in enumerate(STEPS)
            ]
            sends: Sends = exchange.result()
        rows = [row(each, sends, stack) for each in measured]
    publish("batch_seconds", f"{seconds:g} s per step, with live_prices running", rows)


def run(
    step: Step, seconds: float, stack: Stack, job: psutil.Popen, warm_seconds: float
) -> Measured:
    """Run and measure a step. Raise StackError if nothing of an exchange arrives in Kafka."""
    folder = stack.folder / "journals" / str(STEPS.index(step))
    settings = replace(stack.settings, journal_dir=str(folder))
    settings = settings.with_exchange("kucoin", batch_seconds=step.kucoin_batch_seconds)
    commands = {
        "Binance's": [PYTHON, "-m", step.binance, "binance"],
        "KuCoin's": [PYTHON, "-m", "extractors", "kucoin"],
    }
    at_first = ends(stack)
    with ExitStack() as running:
        programs: dict[str, psutil.Process] = {
            name: running.enter_context(
                process(command, stack, settings, stack.log_folder / f"{name}.log")
            )
            for name, command in commands.items()
        }
        programs |= {"Kafka": kafka_of(stack), "live_prices": job}

        def is_written() -> bool:
            now = ends(stack)
            return all(now[name] != at_first[name] for name in now)

        if not wait_until(is_written, deadline=START_LIMIT):
            now = ends(stack)
            empty = " or ".join(name for name in now if now[name] == at_first[name])
            logs = [(stack.log_folder / f"{name}.log").read_text()[-2000:] for name in commands]
            raise StackError(f"nothing of {empty} arrived in Kafka: {' '.join(logs)}")
        time.sleep(STEP_WARM_SECONDS + warm_seconds)
        before, began = ends(stack), time.monotonic()
        cpu = {name: sample(each).seconds for name, each in programs.items()}
        time.sleep(seconds)
        used = {name: sample(each).seconds - cpu[name] for name, each in programs.items()}
        took, after = time.monotonic() - began, ends(stack)
    return Measured(step, took, used, {name: (before[name], after[name]) for name in before})


def ends(stack: Stack) -> dict[str, Offsets]:
    """Return the end offsets of the raw topics, by exchange."""
    return {name: offsets(stack.settings, topic) for name, topic in TOPIC_OF_EXCHANGE.items()}


def kafka_of(stack: Stack) -> psutil.Process:
    [pid] = [each["pid"] for each in supervision.programs(stack) if each["name"] == "kafka"]
    return psutil.Process(pid)


def row(measured: Measured, sends: Sends, stack: Stack) -> dict[str, str]:
    cells = {"batch": measured.step.name}
    for exchange, (before, after) in measured.offsets.items():
        cuts = quantiles(latencies(exchange, before, after, sends, stack), n=100)
        messages = sum(after[each] - before[each] for each in after)
        cells |= {
            f"{exchange} ms: p50": f"{1000 * cuts[49]:.0f}",
            f"{exchange} p95": f"{1000 * cuts[94]:.0f}",
            f"{exchange} messages/s": f"{messages / measured.seconds:.1f}",
        }
    return cells | {
        f"{name} CPU": f"{seconds / measured.seconds:.1%}" for name, seconds in measured.cpu.items()
    }


def latencies(
    exchange: str, before: Offsets, after: Offsets, sends: Sends, stack: Stack
) -> list[float]:
    """Return each ticker's latency in seconds, from its latest send before the append to the append."""
    found: list[float] = []
    messages = messages_between(stack.settings, TOPIC_OF_EXCHANGE[exchange], before, after)
    for value, appended in messages:
        for item in orjson.loads(value):
            times = sends[exchange][identity(item)]
            sent = times[bisect_right(times, appended + CLOCK_TOLERANCE) - 1]
            found.append(appended - sent)
    return found


if __name__ == "__main__":
    main()
