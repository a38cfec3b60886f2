"""Compute a round's figures from the sent frames, the frames in Kafka and the CPU samples. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from benchmarks.extractors.source import Sent
from benchmarks.extractors.topic import Appended
from benchmarks.harness.measuring import spread

WARM_SECONDS = 2.0
"""Seconds to exclude at the start, while caches fill and the first batch is collected."""

SAME_BATCH = 0.25
"""Seconds within which all partitions' messages of a batch are appended."""

LEAST_SAMPLES = 8


class Sample(NamedTuple):
    """User and system time of the process up to `at`, the time since the epoch; both in seconds."""

    at: float
    cpu: float


class Result(NamedTuple):
    rate: float
    """Frames per second that arrived in Kafka; without Kafka, that were read."""
    cpu: float
    """Microseconds of user and system time per frame. If frames are missing in Kafka, or the run has no
    rate: the time of the whole round per frame that arrived in Kafka; without Kafka, that was sent."""
    megabytes: float
    """Peak of resident memory."""
    calls: float | None
    """System calls of the whole round per frame, None if they can't be counted."""
    delay_50: float | None
    """Median ms from a frame's due time (its send, without a rate) to its append; None without Kafka."""
    delay_99: float | None
    missing: int | None
    """Frames that were not in Kafka when the round ended; None without Kafka."""


def rate_of_appends(appended: Sequence[Appended]) -> float:
    """Return frames per second without the first and the last batch, which waits for more frames."""
    times = sorted(each.at for each in appended)
    if not times:
        return 0.0
    begin = bisect_right(times, times[0] + SAME_BATCH)
    end = bisect_left(times, times[-1] - SAME_BATCH)
    if begin >= end:
        return 0.0
    return (end - begin) / (times[end - 1] - times[begin - 1])


def steady_cpu(samples: Sequence[Sample], sent: Sequence[Sent]) -> float:
    """Return microseconds per frame while frames were sent, for a contestant that keeps pace.

    Raise ValueError if frames were sent for too short a time.
    """
    begin, end = sent[0].at + WARM_SECONDS, sent[-1].at
    steady = [each for each in samples if begin <= each.at <= end]
    if len(steady) < LEAST_SAMPLES:
        raise ValueError(f"frames were sent for {end - sent[0].at:.1f} s: too short to measure")
    first, last = steady[0], steady[-1]
    return 1e6 * (last.cpu - first.cpu) / (sent_at(sent, last.at) - sent_at(sent, first.at))


def whole_cpu(samples: Sequence[Sample], frames: int) -> float:
    """Return microseconds per frame over the whole round; all frames may be read long before its end."""
    return 1e6 * (samples[-1].cpu - samples[0].cpu) / frames if frames else inf


def sent_at(sent: Sequence[Sent], at: float) -> int:
    """Return how many frames had been sent at that time."""
    index = bisect_right(sent, at, key=lambda each: each.at)
    return sent[index - 1].frames if index else 0


def delays(appended: Sequence[Appended], sent: Sequence[Sent]) -> tuple[float, float]:
    """Return p50 and p99 in ms of all frames due after WARM_SECONDS. Missing frames are infinite.

    Raise ValueError if no frame was due after WARM_SECONDS.
    """
    at = {each.number: each.at for each in appended}
    began = sent[0].due + WARM_SECONDS
    found: list[float] = []
    first = 0
    for each in sent:
        if each.due >= began:
            found += [at.get(number, inf) - each.due for number in range(first, each.frames)]
        first = each.frames
    if not found:
        raise ValueError(
            f"frames were due for {sent[-1].due - sent[0].due:.1f} s: too short to measure"
        )
    found.sort()
    last = len(found) - 1
    return 1000 * found[last // 2], 1000 * found[last * 99 // 100]


def row(name: str, results: Sequence[Result]) -> dict[str, str]:
    """Return the medians of several rounds, with the minimum and the maximum in brackets."""

    def of(field: Callable[[Result], float | None], digits: int = 0) -> str:
        known = [value for each in results if (value := field(each)) is not None]
        return spread(known, digits) if known else "-"

    return {
        "": name,
        "frames/s": of(lambda each: each.rate),
        "CPU us/frame": of(lambda each: each.cpu, 1),
        "MB": of(lambda each: each.megabytes),
        "system calls/frame": of(lambda each: each.calls, 2),
        "delay ms: p50": of(lambda each: each.delay_50),
        "p99": of(lambda each: each.delay_99),
        "missing": of(lambda each: each.missing),
    }
