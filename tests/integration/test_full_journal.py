"""Fill journal or disk: Kafka gets all items that were taken; items missing in landing/ are named."""

import re
import resource
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from confluent_kafka import Message

from core.settings import Settings
from infra.stack import Stack
from tests.support.extractor import Extractor
from tests.support.kafka import items_of
from tests.support.landing import Landing
from tests.support.market import (
    EXCHANGES,
    Market,
    assert_exact_after_kills,
    everything,
    leave_in_journal,
    written,
)
from tests.support.stacks import unavailable
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.independent, pytest.mark.fault]

DROPPED = re.compile(r"segment dropped before upload items=(\d+) first=(\d+) last=(\d+) ")
OBJECT = re.compile(r"-(\d{20})-(\d{20})\.jsonl\.gz")
"""An object's first and last position, in its name."""

BACKLOG = 40_000
"""Number of items of about 1 kB each."""

ROOM = 20_000
"""File size limit in bytes: enough for the log and the journal's small files, not for a Binance frame."""

SOON = 15_000_000
"""Maximum delay in microseconds. An idle machine needs 2 to 3 s: the start of Python, 1 s of waiting for
messages of the previous process, and 1 s of collecting for KuCoin."""


def test_store_that_is_unavailable_until_the_journal_is_full_costs_kafka_nothing(
    market: Market, stack: Stack, settings: Settings, tmp_path: Path
) -> None:
    landings = {each: Landing(settings, each) for each in EXCHANGES}
    # Without these items, Binance would fill its journal only after half a minute.
    folder = tmp_path / "journal" / "binance"
    left = {"binance": leave_in_journal(folder, "binance", [900] * 3000), "kucoin": Counter()}
    with unavailable(stack, "minio"):
        market.begin(journal_limit_bytes=4_000_000)
        market.wait_for_log("segment dropped")
        market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    dropped = {each: market.extractors[each].metric("dropped_items") for each in EXCHANGES}
    market.end_with_empty_journals()
    for each in EXCHANGES:
        sent = left[each] + written(market.connections(each), everything)
        assert market.in_topic(each) == sent
        found = market.in_landing(each)
        assert not found - sent
        assert (sent - found).total() == dropped[each] > 0
        assert "items are lost" not in market.extractors[each].log()
        named = [
            (int(first), int(last))
            for items, first, last in DROPPED.findall(market.extractors[each].log())
            if int(items) == int(last) - int(first) + 1
        ]
        there = [
            (int(first), int(last))
            for first, last in OBJECT.findall(" ".join(landings[each].keys()))
        ]
        spans = sorted(named + there)
        assert sum(last + 1 - first for first, last in spans) == sent.total()
        # A restart skips positions.
        assert all(first > last for (_, last), (first, _) in pairwise(spans))


def test_backlog_of_uploads_holds_up_no_item_after_a_start(
    market: Market, stack: Stack, tmp_path: Path
) -> None:
    left = {
        each: leave_in_journal(tmp_path / "journal" / each, each, [1000] * BACKLOG)
        for each in EXCHANGES
    }
    with unavailable(stack, "minio"):
        market.begin()
        wait_for(
            lambda: {each: market.extractors[each].metric("kafka_lag_items") for each in EXCHANGES},
            lambda lags: all(lag < BACKLOG / 10 for lag in lags.values()),
        )
        market.kill()
    started = time.time_ns() // 1000
    market.begin()
    for each in EXCHANGES:
        [first, *_] = wait_for(lambda each=each: live(market.messages(each), started))  # type: ignore[misc]
        waited = first - started
        print(f"{each}: an item was in Kafka {waited / 1e6:.1f} s after the start")
        assert waited < SOON
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    assert_exact_after_kills(market, left)


def live(messages: list[Message], started: int) -> list[int]:
    """Return Kafka's timestamps of messages whose last item is newer than `started`, in µs."""
    return sorted(
        message.timestamp()[1] * 1000
        for message in messages
        if items_of(message)[-1]["received_at"] > started
    )


def test_full_disk_costs_only_items_that_are_counted_and_kafka_gets_the_others(
    market: Market,
) -> None:
    """Files can't grow beyond `ROOM`, so no segment takes a frame of Binance."""
    market.begin()
    market.wait_for_log("delivering topic=")
    for extractor in market.extractors.values():
        limit_files(extractor, ROOM)
    market.wait_for_log("journal refuses items")
    market.wait_for_frames(6)
    files = market.journal_files()
    for extractor in market.extractors.values():
        limit_files(extractor, resource.RLIM_INFINITY)
    market.wait_for_log("journal accepting items again")
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    metrics = ("refused_items_total", "dropped_items")
    counts = {e: [market.extractors[e].metric(name) for name in metrics] for e in EXCHANGES}
    market.end_with_empty_journals()
    for each in EXCHANGES:
        refused, dropped = counts[each]
        sent = written(market.connections(each), everything)
        found = market.in_topic(each)
        assert not found - sent
        assert (sent - found).total() == refused > 0
        assert not market.in_landing(each) - found
        assert (found - market.in_landing(each)).total() == dropped
    assert len(files) < 10, files


def limit_files(extractor: Extractor, size: int) -> None:
    """Limit the size of the process's files, in bytes, to act like a full disk."""
    resource.prlimit(extractor.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
