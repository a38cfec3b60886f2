"""Services unavailable, extractors killed, a journal full: each item is in Kafka and in landing/ once.

The ledger has what the exchange wrote, and everything is compared item by item. The outages are
short in every test run; `make soak-extractors` has them at full length.
"""

import json
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from core.message import encode_item
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from extractors.journal import Journal
from infra.exchange.faults import Close, Unauthorized
from infra.exchange.server import Simulation
from infra.stack import Stack
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items
from tests.support.landing import Landing
from tests.support.ledger import Ledger, Written
from tests.support.replay_exchange import clear, inflict, running, settings_at
from tests.support.stacks import unavailable
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.independent

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "8"))
KILLS = int(os.environ.get("KILLS", "3"))
EXCHANGES = tuple(TOPIC_OF_EXCHANGE)
DEADLINE = 120.0 + 2 * OUTAGE
KILL_MARGIN = 1_000_000
"""Microseconds: what came so shortly before a kill may be lost."""

REFUSED = "refused: handshake answered 401"

Start = Callable[[str, Settings], Extractor]


class Market:
    """Both exchanges at full speed, an extractor for each, and what has come of it."""

    def __init__(self, address: str, ledger: Ledger, settings: Settings, start: Start) -> None:
        self.settings = settings_at(
            settings,
            address,
        )
        self._address = address
        self._ledger = ledger
        self._start = start
        self._topics = {each: Topic(settings, TOPIC_OF_EXCHANGE[each]) for each in EXCHANGES}
        self._landings = {each: Landing(settings, each) for each in EXCHANGES}
        self.extractors: dict[str, Extractor] = {}

    def begin(self, **changed: Any) -> None:
        for each in EXCHANGES:
            clear(self._address, each)
            self.extractors[each] = self._start(each, replace(self.settings, **changed))
        self.wait_for_frames()

    def wait_for_frames(self, frames: int = 3) -> None:
        """Wait until each exchange has written this number of frames from now on."""
        before = self._frames()
        wait_for(
            self._frames,
            lambda now: all(now[each] >= before[each] + frames for each in EXCHANGES),
            deadline=DEADLINE,
        )

    def _frames(self) -> dict[str, int]:
        return {e: sum(len(each.frames) for each in self.connections(e)) for e in EXCHANGES}

    def connections(self, exchange: str) -> list[Written]:
        return self._ledger.connections(exchange)

    def close(self) -> None:
        """In an orderly way, for good; returns when the extractors have read all that was written."""
        refused = {each: self.extractors[each].log().count(REFUSED) for each in EXCHANGES}
        for each in EXCHANGES:
            inflict(self._address, each, Unauthorized(), "every")
            inflict(self._address, each, Close(), "standing")
        for each in EXCHANGES:
            self._wait_for_log(each, REFUSED, refused[each] + 1)

    def wait_for_log(self, text: str) -> None:
        """Wait until each extractor has written it."""
        for each in EXCHANGES:
            self._wait_for_log(each, text, times=1)

    def _wait_for_log(self, exchange: str, text: str, times: int) -> None:
        extractor = self.extractors[exchange]
        extractor.wait_for(extractor.log, lambda log: log.count(text) >= times, deadline=DEADLINE)

    def wait_for_kafka(self) -> None:
        """Wait until it has everything that was received."""
        self._wait_until_taken("kafka_lag_items")

    def _wait_until_taken(self, lag: str) -> None:
        for each in self.extractors.values():
            each.wait_for(
                lambda each=each: _metric(each, lag),  # type: ignore[misc]
                lambda items: items == 0,
                deadline=DEADLINE,
            )

    def end(self) -> None:
        """Send SIGTERM to both before waiting: each may take seconds."""
        for each in self.extractors.values():
            each.signal(signal.SIGTERM)
        for each in self.extractors.values():
            assert each.wait(each.stop_limit) == 0, each.log()

    def end_with_empty_journals(self) -> None:
        """On a busy machine the last upload may take longer than a stop allows: then start again.

        The exchanges still refuse every connection.
        """
        self.end()
        if self.journal_files():
            for each in EXCHANGES:
                self.extractors[each] = self._start(each, self.settings)
            self._wait_until_taken("kafka_lag_items")
            self._wait_until_taken("landing_lag_items")
            self.end()

    def in_topic(self, exchange: str) -> "Counter[str]":
        return counted(all_items(self._topics[exchange].messages()))

    def in_landing(self, exchange: str) -> "Counter[str]":
        return counted(self._landings[exchange].items())

    def journal_files(self) -> list[str]:
        return [path.name for path in self._journal.rglob("*.jsonl*")]

    @property
    def _journal(self) -> Path:
        return self.extractors["binance"].journal


def _metric(extractor: Extractor, name: str) -> float | Exception:
    try:
        return extractor.metric(name)
    except (requests.ConnectionError, ValueError) as error:
        # It has just been started.
        return error


def counted(items: Iterable[dict[str, Any]]) -> "Counter[str]":
    """Items without the time of their receipt, as text."""
    return Counter(
        json.dumps({name: item[name] for name in item if name != "received_at"}) for item in items
    )


def written(connections: Iterable[Written], until: Callable[[Written], float]) -> "Counter[str]":
    """The items of the frames that were written to each connection until then."""
    items: list[dict[str, Any]] = []
    for connection in connections:
        for frame in connection.frames:
            if frame.written_at <= until(connection):
                assert frame.text
                value = json.loads(frame.text)
                items += value if isinstance(value, list) else [value]
    return counted(items)


def everything(connection: Written) -> float:
    return float("inf")


@pytest.fixture
def market(settings: Settings, extractor: Start) -> Iterator[Market]:
    ledger = Ledger()
    with running(*Simulation().exchanges(observer=ledger)) as address:
        yield Market(address, ledger, settings, extractor)


def assert_exact(market: Market) -> None:
    """All connections were closed in an orderly way."""
    for each in EXCHANGES:
        connections = market.connections(each)
        assert [connection.ending for connection in connections] == ["closed"] * len(connections)
        sent = written(connections, everything)
        assert market.in_topic(each) == sent
        assert market.in_landing(each) == sent
    assert market.journal_files() == []


@pytest.mark.parametrize(
    "services", [("kafka",), ("minio",), ("kafka", "minio")], ids=["kafka", "minio", "both"]
)
def test_service_that_is_away_costs_nothing_and_holds_up_nobody(
    services: tuple[str, ...], market: Market, stack: Stack
) -> None:
    market.begin()
    with unavailable(stack, *services):
        pass_time(OUTAGE)
        market.wait_for_frames()
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    assert_exact(market)


def test_what_can_not_be_flushed_at_sigterm_stays_and_follows_after_the_next_start(
    market: Market, stack: Stack
) -> None:
    market.begin()
    with unavailable(stack, "kafka", "minio"):
        market.wait_for_frames(5)
        market.close()
        market.end()
        assert {name.split("-")[-1] for name in market.journal_files()} == {"127.0.0.1.jsonl"}
    market.begin()
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    assert_exact(market)


def test_kill_at_any_moment_loses_nothing_older_than_a_second_and_doubles_nothing(
    market: Market,
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    killed_at: list[float] = []
    market.begin()
    for _ in range(KILLS):
        pass_time(chance.uniform(0.5, 6.0))
        for each in market.extractors.values():
            each.kill()
        killed_at.append(time.time() * 1e6)
        market.begin()
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    for exchange in EXCHANGES:
        connections = market.connections(exchange)
        assert [c.ending for c in connections] == ["left"] * KILLS + ["closed"]
        ends = dict(zip([c.number for c in connections], [*killed_at, float("inf")], strict=True))
        sure = written(connections, lambda c, ends=ends: ends[c.number] - KILL_MARGIN)  # type: ignore[misc]
        found = market.in_topic(exchange)
        assert not sure - found
        assert not found - written(connections, everything)
        assert market.in_landing(exchange) == found
    assert market.journal_files() == []


def leave_in_journal(folder: Path, exchange: str) -> "Counter[str]":
    """The items of a closed segment of 900 kB, as a process leaves them."""
    name = {"binance": "s", "kucoin": "subject"}[exchange]
    now = time.time_ns() // 1000
    items: list[dict[str, Any]] = [
        {name: f"LEFT{number % 7}", "noise": secrets.token_hex(450), "received_at": now}
        for number in range(900)
    ]
    journal = Journal(folder, limit=10_000_000)
    with closing(journal):
        assert not journal.append("127.0.0.1", [encode_item(each) for each in items], now, now=0.0)
    journal.unlock()
    return counted(items)


def test_full_journal_keeps_the_oldest_and_counts_what_it_refuses(
    market: Market, stack: Stack, tmp_path: Path
) -> None:
    with unavailable(stack, "kafka", "minio"):
        # Room comes when a closed segment is taken, and the open one is closed after a minute only.
        left = {each: leave_in_journal(tmp_path / "journal" / each, each) for each in EXCHANGES}
        market.begin(journal_limit_bytes=1_500_000)
        market.wait_for_log("journal full")
        market.wait_for_frames()
    market.wait_for_log("journal takes again")
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    refused = {each: market.extractors[each].metric("refused_items_total") for each in EXCHANGES}
    market.end_with_empty_journals()
    for each in EXCHANGES:
        sent = left[each] + written(market.connections(each), everything)
        found = market.in_topic(each)
        assert not left[each] - found
        assert not found - sent
        assert (sent - found).total() == refused[each] > 0
        assert market.in_landing(each) == found
