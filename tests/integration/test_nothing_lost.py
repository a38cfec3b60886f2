"""Kafka away, the object store away, killed, full: what was received is in the topic and in landing/, once.

The ledger has what the exchange wrote; all is compared item by item. In every test run the outages
are short; `make soak-extractors` has them at full length.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra import supervision
from infra.exchange.faults import Close, Unauthorized
from infra.exchange.server import Simulation
from infra.stack import Stack
from infra.up import services_up
from tests.extractor_process import Extractor
from tests.landing import Landing
from tests.ledger import Ledger, Written
from tests.replay_exchange import clear, inflict, running
from tests.topic import Topic, all_items

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "8"))
KILLS = int(os.environ.get("KILLS", "3"))
EXCHANGES = tuple(TOPIC_OF_EXCHANGE)
DEADLINE = 60.0 + 2 * OUTAGE
KILL_MARGIN = 1_000_000
"""Microseconds: what came so shortly before a kill may be lost."""

REFUSED = "refused: handshake answered 401"

Start = Callable[[str, Settings], Extractor]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Market:
    """Both exchanges at full speed, an extractor for each, and what has come of it."""

    def __init__(self, address: str, ledger: Ledger, settings: Settings, start: Start) -> None:
        self.settings = replace(
            settings,
            binance_ws_url=f"ws://{address}",
            binance_rest_url=f"http://{address}",
            kucoin_rest_url=f"http://{address}",
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
        """On the newest connection of each exchange, from now on."""
        before = {each: self._frames(each) for each in EXCHANGES}
        wait_until(lambda: all(self._frames(e) >= before[e] + frames for e in EXCHANGES))

    def _frames(self, exchange: str) -> int:
        return sum(len(each.frames) for each in self.connections(exchange))

    def connections(self, exchange: str) -> list[Written]:
        return self._ledger.connections(exchange)

    def close(self) -> None:
        """In an orderly way, for good; returns when the extractors have read all that was written."""
        refused = {each: self.extractors[each].log().count(REFUSED) for each in EXCHANGES}
        for each in EXCHANGES:
            inflict(self._address, each, Unauthorized(), "every")
            inflict(self._address, each, Close(), "standing")
        wait_until(
            lambda: all(self.extractors[e].log().count(REFUSED) > refused[e] for e in EXCHANGES)
        )

    def wait_for_kafka(self) -> None:
        """Until it has all that was received."""
        wait_until(
            lambda: all(each.metric("kafka_lag_items") == 0 for each in self.extractors.values())
        )

    def end(self) -> None:
        for each in EXCHANGES:
            assert self.extractors[each].terminate() == 0, self.extractors[each].log()

    def in_topic(self, exchange: str) -> "Counter[str]":
        return counted(all_items(self._topics[exchange].messages()))

    def in_landing(self, exchange: str) -> "Counter[str]":
        return counted(self._landings[exchange].items())

    def journal_files(self) -> list[str]:
        return [path.name for path in self._journal.rglob("*.jsonl*")]

    @property
    def _journal(self) -> Path:
        return self.extractors["binance"].journal


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


@contextmanager
def away(stack: Stack, *services: str) -> Iterator[None]:
    """Killed, not asked: for as long as the block takes."""
    for service in services:
        supervision.call(stack, "signalProcess", service, "KILL")
        supervision.call(stack, "stopProcess", service)
    try:
        yield
    finally:
        services_up(stack)


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
    with away(stack, *services):
        wait_for_seconds(OUTAGE)
        market.wait_for_frames()
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    market.end()
    assert_exact(market)


def wait_for_seconds(seconds: float) -> None:
    """The outage itself: nothing tells when it has lasted long enough."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end)


def test_what_can_not_be_flushed_at_sigterm_stays_and_follows_after_the_next_start(
    market: Market, stack: Stack
) -> None:
    market.begin()
    with away(stack, "kafka", "minio"):
        market.wait_for_frames(20)
        market.close()
        market.end()
        assert {name.split("-")[-1] for name in market.journal_files()} == {"127.0.0.1.jsonl.gz"}
    market.begin()
    market.close()
    market.wait_for_kafka()
    market.end()
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
        wait_for_seconds(chance.uniform(0.5, 6.0))
        for each in market.extractors.values():
            each.kill()
        killed_at.append(time.time() * 1e6)
        market.begin()
    market.close()
    market.wait_for_kafka()
    market.end()
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


def test_full_journal_keeps_the_oldest_and_counts_what_it_refuses(
    market: Market, stack: Stack
) -> None:
    market.begin(journal_limit_bytes=1_500_000)
    with ExitStack() as outage:
        outage.enter_context(away(stack, "kafka", "minio"))
        wait_until(lambda: all("journal full" in each.log() for each in market.extractors.values()))
        market.wait_for_frames()
    wait_until(
        lambda: all("journal takes again" in each.log() for each in market.extractors.values())
    )
    market.wait_for_frames()
    market.close()
    market.wait_for_kafka()
    refused = {each: market.extractors[each].metric("refused_items_total") for each in EXCHANGES}
    market.end()
    for each in EXCHANGES:
        sent, found = written(market.connections(each), everything), market.in_topic(each)
        assert not found - sent
        assert (sent - found).total() == refused[each] > 0
        assert market.in_landing(each) == found
