"""Render the report of a soak as Markdown, from its record alone."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from statistics import median
from textwrap import wrap

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
WIDTH = 120

HOW_IT_RAN = """
Both exchanges are simulated, send about {rate:,.0f} items per second to connections without faults, and
misbehave at random, so that fewer items are sent. Extractors, Kafka, MinIO, Postgres, the Spark jobs
and the server run under the local stack's supervisor, which restarts programs that end. Programs are
killed with `kill -9` at random moments, even while another one is still recovering. At the end the
exchanges close, everything is drained, and the data of all parts is compared.
"""

RECOVERED = """
Seconds from the kill to the first arrival of data that was received after the kill. For an extractor,
that is a price of its exchange in Postgres; for the server, prices of both exchanges in its answer; for
MinIO, a new object in
`raw/`, whose batches take 20 s; otherwise, prices of both exchanges in Postgres. Meanwhile the exchanges
continue to misbehave, and other programs may be killed.
"""

COUNTED = """
Items sent are all items that the exchange wrote to connections, including repeated ones, those written
to two connections, and those in flight when the connection or the extractor ended. Items surely received
are all items of connections that the exchange closed; of other connections, those written at least 5 s
before the end. An item received on two connections is in Kafka once, if the extractor could recognise
it.
"""


def markdown(record: Record) -> str:
    """Return the whole document."""
    return "\n".join(lines(record)) + "\n"


def lines(record: Record) -> Iterator[str]:
    found = list(problems(record))
    yield "# Soak: programs killed at random, exchanges that misbehave"
    yield from paragraph(
        f"`{record.command}`, begun {record.began:%Y-%m-%d %H:%M} UTC. Programs were killed and the "
        f"exchanges misbehaved for {record.seconds:,.0f} s. With start, draining and audit it took "
        f"{record.took / 60:.0f} minutes."
    )
    if found:
        yield from paragraph("**Failed.**")
        yield from ("", *(f"- {each}" for each in found))
    else:
        yield from paragraph(
            f"**Passed.** {len(record.kills)} kills, {sum(f.sent for f in record.flows):,} items sent, "
            "0 differences."
        )
    yield from heading("How it ran")
    yield from paragraph(HOW_IT_RAN.format(rate=record.rate))
    yield from table(
        ("what", "value"),
        [
            ("machine", record.machine),
            *record.versions.items(),
            ("seed of the random moments", str(record.seed)),
            *(faults_row(name, faults) for name, faults in record.faults.items()),
        ],
    )
    yield from heading("Kills")
    yield from paragraph(RECOVERED)
    yield from table(
        ("time (UTC)", "program", "seconds until data flowed"),
        [
            (f"{each.at:%H:%M:%S}", TITLES[each.program], shown(each.seconds))
            for each in record.kills
        ],
    )
    yield from heading("Recovery")
    yield from table(
        ("program", "kills", "median (s)", "worst (s)"), list(recoveries(record.kills))
    )
    yield from heading("Items")
    yield from table(
        ("", *(flow.exchange for flow in record.flows)), list(zip(*columns(record), strict=True))
    )
    yield from paragraph(COUNTED)
    yield from heading("Differences")
    yield from table(
        ("compared", *(flow.exchange for flow in record.flows)),
        [
            (what, *(f"{differences(flow)[what]:,}" for flow in record.flows))
            for what in (differences(record.flows[0]) if record.flows else ())
        ],
    )
    yield from paragraph("What `make audit` printed:")
    yield from ("", "```", *record.audit, "```")


def heading(text: str) -> Iterator[str]:
    yield from ("", f"## {text}")


def paragraph(text: str) -> Iterator[str]:
    yield from ("", *wrap(text.strip(), WIDTH, break_long_words=False, break_on_hyphens=False))


def columns(record: Record) -> Iterator[Sequence[str]]:
    yield (
        *("connections", "items sent", "distinct items surely received", "items in Kafka"),
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
    """Yield one row per program, and one for all. Without a kill there is no row."""
    of_program: dict[str, list[float | None]] = defaultdict(list)
    for kill in kills:
        of_program[TITLES[kill.program]].append(kill.seconds)
    if not of_program:
        return
    every = [seconds for each in of_program.values() for seconds in each]
    for name, found in [*sorted(of_program.items()), ("all", every)]:
        times = [inf if seconds is None else seconds for seconds in found]
        yield name, str(len(found)), shown(median(times)), shown(max(times))


def faults_row(exchange: str, faults: Mapping[str, int]) -> tuple[str, str]:
    by_name = ", ".join(f"{name} {count}" for name, count in sorted(faults.items()))
    return f"faults of {exchange}: {sum(faults.values())}", by_name


def shown(seconds: float | None) -> str:
    return NOT_SEEN if seconds in (None, inf) else f"{seconds:.1f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield ""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
