"""The report of a soak as Markdown, made of its record alone."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from tests.soak.record import Kill, Record, differences, problems

TITLES = {
    "jobs": "Spark driver",
    "binance": "extractor of Binance",
    "kucoin": "extractor of KuCoin",
    "kafka": "Kafka",
    "minio": "MinIO",
    "postgres": "Postgres",
    "server": "server",
}
NOT_SEEN = "not in time"


def markdown(record: Record) -> str:
    """Return the whole document."""
    return "\n".join(lines(record)) + "\n"


def lines(record: Record) -> Iterator[str]:
    found = list(problems(record))
    yield from ("# Soak: programs killed at random, exchanges that misbehave", "")
    yield (
        f"`{record.command}`, begun {record.began:%Y-%m-%d %H:%M} UTC. The exchanges sent for "
        f"{record.seconds:,.0f} s; with start, draining and audit it took {record.took / 60:.0f} minutes."
    )
    yield ""
    if found:
        yield from ("**Failed.**", "", *(f"- {each}" for each in found))
    else:
        yield (
            f"**Passed.** {len(record.kills)} kills, {sum(f.sent for f in record.flows):,} items sent, "
            "0 differences."
        )
    yield from ("", "## How it ran", "")
    yield (
        "Both exchanges are simulated and misbehave at random. Extractors, Kafka, MinIO, Postgres, the Spark "
        "jobs and the server run under the supervisor of the local stack, which restarts what ends. "
        "Programs are ended with `kill -9` at random moments, also while another one is still recovering. "
        "At the end the exchanges close, everything is drained, and what each part has is compared."
    )
    yield ""
    yield from table(
        ("what", "value"),
        [
            ("machine", record.machine),
            *record.versions.items(),
            ("seed of the random moments", str(record.seed)),
            *(faults_row(name, faults) for name, faults in record.faults.items()),
        ],
    )
    yield from ("", "## Kills", "")
    yield (
        "Seconds from the kill until data that came after it had arrived: a price that was received "
        "after the kill, in Postgres; for the server, in its answer; for MinIO, a new object in `raw/`. "
        "A price needs both exchanges, unless their extractor was killed."
    )
    yield ""
    yield from table(
        ("time (UTC)", "program", "seconds until data flowed"),
        [
            (f"{each.at:%H:%M:%S}", TITLES[each.program], shown(each.seconds))
            for each in record.kills
        ],
    )
    yield from ("", "## Recovery", "")
    yield from table(
        ("program", "kills", "median (s)", "worst (s)"), list(recoveries(record.kills))
    )
    yield from ("", "## Items", "")
    yield from table(
        ("", *(flow.exchange for flow in record.flows)), list(zip(*columns(record), strict=True))
    )
    yield ""
    yield (
        "Sent are all items that the exchange wrote to a connection, also those that it repeated, and those "
        "that were on the way when the connection or the extractor ended. Surely received are those of "
        "connections that the exchange closed, and those written at least "
        "5 s before a connection was broken or its extractor was killed."
    )
    yield from ("", "## Differences", "")
    yield from table(
        ("compared", *(flow.exchange for flow in record.flows)),
        [
            (what, *(f"{differences(flow)[what]:,}" for flow in record.flows))
            for what in (differences(record.flows[0]) if record.flows else ())
        ],
    )
    yield from ("", "What `make audit` printed:", "", "```", *record.audit, "```")


def columns(record: Record) -> Iterator[Sequence[str]]:
    yield (
        *("connections", "items sent", "different items surely received", "items in Kafka"),
        *("messages in Kafka", "items in `landing/`", "messages in `raw/`", "rows in `tickers/`"),
        *("dead letters", "no price"),
    )
    for flow in record.flows:
        values = (
            *(flow.connections, flow.sent, flow.sure, flow.items, flow.messages),
            *(flow.landing, flow.raw, flow.tickers, flow.dead_letters, flow.no_price),
        )
        yield [f"{value:,}" for value in values]


def recoveries(kills: Iterable[Kill]) -> Iterator[Sequence[str]]:
    """Yield a row for each program, and one for all."""
    of_program: dict[str, list[float | None]] = defaultdict(list)
    for kill in kills:
        of_program[TITLES[kill.program]].append(kill.seconds)
    every = [seconds for each in of_program.values() for seconds in each]
    for name, found in [*sorted(of_program.items()), ("all", every)]:
        seen = [seconds for seconds in found if seconds is not None]
        worst = shown(max(seen) if seen and len(seen) == len(found) else None)
        yield name, str(len(found)), shown(median(seen) if seen else None), worst


def faults_row(exchange: str, faults: Mapping[str, int]) -> tuple[str, str]:
    by_name = ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))
    return f"faults of {exchange}: {sum(faults.values())}", by_name


def shown(seconds: float | None) -> str:
    return NOT_SEEN if seconds is None else f"{seconds:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
