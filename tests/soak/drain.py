"""End a soak: wait until all received data has passed through every part, then run the audit."""

import os
import re
import subprocess
from collections.abc import Callable
from functools import partial

import requests

from core.topics import TOPIC_OF_EXCHANGE
from infra import paths, supervision
from infra.stack import Stack, StackError
from infra.up import EXTRACTORS, JOBS
from tests.soak.counts import messages_in_raw, progress, rows_in_tickers, tickers_in_postgres
from tests.support.kafka import ends
from tests.support.market import REFUSED
from tests.support.replay_exchange import close
from tests.support.waiting import Value, wait_for

DEADLINE = 600.0
"""Seconds for each part of the pipeline. The last kills may have left a backlog of minutes."""

PAUSE = 2.0
STARTS = 3
"""Starts of extractors to empty their journals. On a stop, an extractor has 7 s for its last upload."""

DIFFERS = re.compile(r"^\S.*, (\d+) differ$", re.MULTILINE)
NOT_COMPARED = re.compile(r"^  (\d+) can't be compared", re.MULTILINE)


def drain(stack: Stack, address: str) -> None:
    """Close the exchanges, and return when Postgres, raw/ and tickers/ have all that Kafka has.

    Extractors, jobs and server are stopped then. Raise AssertionError if a part misses its deadline.
    """
    refused = {exchange: times_refused(stack, exchange) for exchange in TOPIC_OF_EXCHANGE}
    close(address)
    for exchange, times in refused.items():
        # An extractor that reconnects has read the previous connection to its end.
        reach(partial(times_refused, stack, exchange), lambda now, times=times: now > times)  # type: ignore[misc]
    empty_journals(stack)
    reached = ends(stack.settings)
    reach(lambda: progress(stack.settings), lambda now: now == reached)
    messages = sum(reached.values())
    reach(lambda: sum(messages_in_raw(stack.settings).values()), lambda now: now >= messages)
    tickers = tickers_in_postgres(stack.settings)
    reach(lambda: sum(rows_in_tickers(stack.settings).values()), lambda now: now >= tickers)
    supervision.stop_programs(stack, [*JOBS, "server"])


def reach(read: Callable[[], Value], is_expected: Callable[[Value], object]) -> None:
    wait_for(read, is_expected, deadline=DEADLINE, pause=PAUSE)


def times_refused(stack: Stack, exchange: str) -> int:
    """Return how often the exchange has refused its extractor, according to the log."""
    return (stack.log_folder / f"{exchange}.log").read_text().count(REFUSED)


def empty_journals(stack: Stack) -> None:
    """Return when every received item is in Kafka and landing/. The extractors are stopped then."""
    for _ in range(STARTS):
        supervision.start_programs(stack, EXTRACTORS)
        for exchange in EXTRACTORS:
            reach(partial(lag, stack, exchange), lambda items: items == 0)
        supervision.stop_programs(stack, EXTRACTORS)
        if not left_in_journals(stack):
            return
    raise StackError(f"the journals still have {left_in_journals(stack)}")


def left_in_journals(stack: Stack) -> list[str]:
    return [path.name for path in (stack.folder / "journal").rglob("*.jsonl*")]


def lag(stack: Stack, exchange: str) -> float | None:
    """Return the number of received items that Kafka does not have, None while the extractor starts."""
    port = stack.settings.exchanges[exchange].metrics_port
    try:
        text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
    except requests.RequestException:
        return None
    found = re.search(r"^extractor_kafka_lag_items\{.*\} (.*)$", text, re.MULTILINE)
    return float(found[1]) if found else None


def audit(stack: Stack) -> tuple[list[str], int | None]:
    """Return what the audit printed, and the number of differences; None if it failed."""
    done = subprocess.run(
        [str(paths.VENV_BIN / "spark-submit"), "spark_jobs/audit.py"],
        cwd=paths.PROJECT,
        env=os.environ | stack.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    differ = counts(DIFFERS, done.stdout)
    # The exit status is 1 both for differences and for a failure.
    is_whole = bool(differ) and done.returncode == int(any(differ))
    # A soak is shorter than any retention, so "can't be compared" counts as a difference.
    found = sum(differ) + sum(counts(NOT_COMPARED, done.stdout))
    return done.stdout.splitlines(), found if is_whole else None


def counts(pattern: re.Pattern[str], printed: str) -> list[int]:
    return [int(count) for count in pattern.findall(printed)]
