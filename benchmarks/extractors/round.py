"""Run rounds: one contestant at a time, alone with Kafka, MinIO and the source of frames.

The contestant starts and subscribes; then the frames are sent. A round ends when all frames were read
and Kafka got no message for SETTLED seconds. It also ends at its limit, if the contestant falls behind.
"""

import shutil
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.extractors.calls import system_calls
from benchmarks.extractors.load import Load, Source
from benchmarks.extractors.result import (
    Result,
    Sample,
    delays,
    rate_of_appends,
    row,
    steady_cpu,
    whole_cpu,
)
from benchmarks.extractors.topic import Offsets, Reader, messages_between, offsets
from benchmarks.harness.measuring import process, table
from core.settings import Settings
from infra.stack import Stack, StackError
from infra.waiting import wait_until

SAMPLE_SECONDS = 0.25
SETTLED = 2.5
"""Seconds without a new message after which a round ends. A batch is collected for up to 1 s."""

START_LIMIT = 60.0
LATE_LIMIT = 8.0
"""Maximum duration of a round beyond the load's duration, in seconds."""


class Contestant(NamedTuple):
    name: str
    command: Sequence[str]
    """{source} is replaced by the host:port of the source."""
    topic: str = ""
    read: Reader | None = None
    """None if the contestant writes nothing to Kafka."""


def rounds(
    contestants: Sequence[Contestant], load: Load, stack: Stack, source: Source, number: int
) -> dict[str, list[Result]]:
    """Run the contestants in turn. Return their results by name."""
    results: defaultdict[str, list[Result]] = defaultdict(list)
    for turn in range(number):
        for position, contestant in enumerate(contestants):
            name = f"round-{turn}-{position}"
            result = _round(contestant, load, stack, source, name)
            results[contestant.name].append(result)
            print(table([{"round": f"{turn + 1}"} | row(contestant.name, [result])]), flush=True)
    return results


def _round(contestant: Contestant, load: Load, stack: Stack, source: Source, name: str) -> Result:
    """Run one contestant. Raise StackError if it does not subscribe or ends early."""
    folder, log = stack.folder / "journals" / name, stack.log_folder / f"{name}.log"
    settings = replace(stack.settings, journal_dir=str(folder))
    settings = settings.with_exchange("kucoin", addresses={"rest": f"http://{source.address}"})
    starts = _offsets(contestant, settings)
    command = [part.format(source=source.address) for part in contestant.command]
    with process(command, stack, settings, log) as started:
        _wait_until_subscribed(contestant, started, source, log)
        with system_calls(started.pid) as calls:
            source.start(load)
            samples = _samples(started, load, source)
            _wait_until_settled(contestant, settings, samples[0].at + load.seconds + LATE_LIMIT)
            samples.append(_sample(started))
        if started.poll() is not None:
            raise StackError(f"{contestant.name} ended: {log.read_text()[-2000:]}")
        memory = _peak(started)
        state, sent = source.state(), source.sent()
        ends = _offsets(contestant, settings)
    shutil.rmtree(folder, ignore_errors=True)
    if contestant.read is None:
        frames = sent[-1].frames
        rate = frames / ((state.read_at or sent[-1].at) - state.began)
        delay_50 = delay_99 = missing = None
    else:
        appended = contestant.read(messages_between(settings, contestant.topic, starts, ends))
        frames = len({each.number for each in appended})
        rate, missing = rate_of_appends(appended), load.frames - frames
        delay_50, delay_99 = delays(appended, sent)
    keeps_pace = load.rate and not missing
    cpu = steady_cpu(samples, sent) if keeps_pace else whole_cpu(samples, frames)
    calls_per_frame = calls.count / frames if calls.count is not None and frames else None
    return Result(rate, cpu, memory, calls_per_frame, delay_50, delay_99, missing)


def _wait_until_subscribed(
    contestant: Contestant, started: psutil.Popen, source: Source, log: Path
) -> None:
    def is_subscribed() -> bool:
        if started.poll() is not None:
            raise StackError(f"{contestant.name} ended: {log.read_text()[-2000:]}")
        return source.state().is_waiting

    if not wait_until(is_subscribed, deadline=START_LIMIT):
        raise StackError(f"{contestant.name} does not subscribe: {log.read_text()[-2000:]}")


def _samples(started: psutil.Popen, load: Load, source: Source) -> list[Sample]:
    """Sample the CPU time until all frames are read or the limit is reached."""
    samples: list[Sample] = []
    while True:
        samples.append(_sample(started))
        is_late = samples[-1].at > samples[0].at + load.seconds + LATE_LIMIT
        if is_late or source.state().read_at:
            return samples
        time.sleep(SAMPLE_SECONDS)


def _sample(started: psutil.Popen) -> Sample:
    times = started.cpu_times()
    return Sample(time.time(), times.user + times.system)


def _wait_until_settled(contestant: Contestant, settings: Settings, limit: float) -> None:
    latest, since = _offsets(contestant, settings), time.time()
    while time.time() < min(since + SETTLED, limit) and latest:
        time.sleep(SAMPLE_SECONDS)
        if (now := _offsets(contestant, settings)) != latest:
            latest, since = now, time.time()


def _offsets(contestant: Contestant, settings: Settings) -> Offsets:
    return offsets(settings, contestant.topic) if contestant.read else {}


def _peak(started: psutil.Popen) -> float:
    """Return the peak of resident memory, in MB."""
    for line in Path(f"/proc/{started.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise StackError(f"process {started.pid} has no VmHWM")
