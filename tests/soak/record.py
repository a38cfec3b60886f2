"""Record the results of a soak, and list its problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Kill:
    """A program that was killed with SIGKILL."""

    at: datetime
    program: str
    seconds: float | None = None
    """Seconds from the kill to the first arrival of data received after it; None after the deadline."""


@dataclass(frozen=True)
class Flow:
    """Counts of one exchange's items in each part of the pipeline."""

    exchange: str
    connections: int
    sent: int
    """Items that the exchange wrote to its connections, including those that nobody read."""
    sure: int
    """Distinct items that an extractor must have received and kept."""
    missing: int
    """Items of `sure` that are not in Kafka."""
    made_up: int
    """Items in Kafka that the exchange did not send."""
    items: int
    messages: int
    landing: int
    raw: int
    """Messages in raw/."""
    tickers: int
    dead_letters: int
    no_price: int


@dataclass
class Record:
    command: str
    began: datetime
    seconds: float
    """Duration of the kills and faults."""
    rate: float
    """Items per second that the exchanges send."""
    planned_kills: int
    seed: int
    machine: str
    versions: Mapping[str, str]
    kills: list[Kill] = field(default_factory=list)
    faults: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Number of inflicted faults by exchange and name."""
    flows: Sequence[Flow] = ()
    audit: Sequence[str] = ()
    audit_differs: int | None = None
    """Number of differences; None if the audit failed or did not run."""
    took: float = 0.0
    """Seconds of the whole run, including start, draining and audit."""
    errors: list[str] = field(default_factory=list)


def problems(record: Record) -> Iterator[str]:
    """Yield one line per problem."""
    yield from record.errors
    if len(record.kills) != record.planned_kills:
        yield f"{len(record.kills)} kills, expected {record.planned_kills}"
    for kill in record.kills:
        if kill.seconds is None:
            yield f"{kill.program}, killed at {kill.at:%H:%M:%S}, did not recover in time"
    for flow in record.flows:
        for what, differ in differences(flow).items():
            if differ:
                yield f"{flow.exchange}: {what}: {differ:,} differ"
    if not record.flows:
        yield "the items were not counted"
    if record.audit_differs is None:
        yield "the audit did not run to its end"
    elif record.audit_differs:
        yield f"the audit found {record.audit_differs:,} differences"


def differences(flow: Flow) -> dict[str, int]:
    """Return the number of differing items or messages by comparison."""
    made = flow.tickers + flow.dead_letters + flow.no_price
    return {
        "surely received items not in Kafka": flow.missing,
        "items in Kafka that were never sent": flow.made_up,
        "items in Kafka against items in landing/": abs(flow.items - flow.landing),
        "messages in Kafka against messages in raw/": abs(flow.messages - flow.raw),
        "items in Kafka against tickers/, dead letters and no price": abs(flow.items - made),
    }
