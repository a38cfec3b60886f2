"""Run both exchanges at full speed with an extractor each, and check Kafka and landing/.

All that the exchanges wrote is compared item by item: nothing is lost or duplicated.
"""

import json
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
import requests
from confluent_kafka import Message

from core.message import JOURNAL_HEADER, encode_item
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from extractors.journal.journal import Journal
from extractors.receive.notices import now_us
from infra.replay.server import Simulation
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items
from tests.support.landing import Landing
from tests.support.ledger import Ledger, Written, lateness
from tests.support.replay_exchange import clear, close, running, settings_at
from tests.support.waiting import wait_for

EXCHANGES = tuple(TOPIC_OF_EXCHANGE)
DEADLINE = 240.0
"""Seconds. On a busy machine, a backlog of a minute takes long to send."""

SILENCE_LIMIT = 60.0
"""Seconds. The exchanges run in the test's process, which may get no processor for some seconds."""

KILL_MARGIN = 1_000_000
"""Microseconds before a kill. Items sent to the extractor in this time may be lost."""

LEFT_SYMBOLS = 97

REFUSED = "refused: handshake answered 401"

Start = Callable[[str, Settings], Extractor]


class Kill(NamedTuple):
    """Times in microseconds since the epoch, before and after the end of both processes.

    `waited` is the time in microseconds that each extractor had waited for a processor.
    """

    began_at: int
    ended_at: int
    waited: Mapping[str, int]


class Market:
    """Both exchanges at full speed, and an extractor for each."""

    def __init__(
        self, address: str, ledger: Ledger, settings: Settings, start: Start, owner: Settings
    ) -> None:
        self.settings = settings_at(settings, address)
        for each in EXCHANGES:
            self.settings = self.settings.with_exchange(each, silence_limit=SILENCE_LIMIT)
        self.address = address
        self._ledger = ledger
        self._start = start
        self._topics = {each: Topic(owner, TOPIC_OF_EXCHANGE[each]) for each in EXCHANGES}
        self._landings = {each: Landing(settings, each) for each in EXCHANGES}
        self.extractors: dict[str, Extractor] = {}
        self.kills: list[Kill] = []

    def begin(self, **changed: Any) -> None:
        self.start(**changed)
        self.wait_for_frames()

    def start(self, **changed: Any) -> None:
        """Start the extractors with some settings changed, and let them connect."""
        for each in EXCHANGES:
            clear(self.address, each)
            self.extractors[each] = self._start(each, replace(self.settings, **changed))

    def wait_for_frames(self, frames: int = 3) -> None:
        """Wait until each exchange has written `frames` more frames."""
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
        """Close all connections and refuse new ones. Return when the extractors have read everything."""
        refused = {each: self.extractors[each].log().count(REFUSED) for each in EXCHANGES}
        close(self.address)
        for each in EXCHANGES:
            self._wait_for_log(each, REFUSED, refused[each] + 1)

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until the extractor of each exchange has logged the text `times` times."""
        for each in EXCHANGES:
            self._wait_for_log(each, text, times)

    def _wait_for_log(self, exchange: str, text: str, times: int) -> None:
        extractor = self.extractors[exchange]
        extractor.wait_for(extractor.log, lambda log: log.count(text) >= times, deadline=DEADLINE)

    def wait_for_kafka(self) -> None:
        """Wait until Kafka has everything that was received."""
        self._wait_until_taken("kafka_lag_items")

    def _wait_until_taken(self, lag: str) -> None:
        for each in self.extractors.values():
            each.wait_for(
                lambda each=each: _metric(each, lag),  # type: ignore[misc]
                lambda items: items == 0,
                deadline=DEADLINE,
            )

    def kill(self) -> None:
        """Kill both extractors with SIGKILL."""
        began_at = now_us()
        waited = {name: each.waited() for name, each in self.extractors.items()}
        for each in self.extractors.values():
            each.kill()
        self.kills.append(Kill(began_at, now_us(), waited))

    def end(self) -> None:
        """Stop both extractors. Send both SIGTERMs before waiting, as each may take seconds."""
        for each in self.extractors.values():
            each.signal(signal.SIGTERM)
        for each in self.extractors.values():
            assert each.wait(each.stop_limit) == 0, each.log()

    def end_with_empty_journals(self) -> None:
        """Stop the extractors. If files are left in a journal, start them once more until all are taken.

        On a busy machine the last upload may exceed the stop limit. Call it after `close`: the extractors
        must not connect again.
        """
        self.end()
        if self.journal_files():
            for each in EXCHANGES:
                self.extractors[each] = self._start(each, self.settings)
            self._wait_until_taken("kafka_lag_items")
            self._wait_until_taken("landing_lag_items")
            self.end()

    def in_topic(self, exchange: str) -> "Counter[str]":
        return counted(self.items(exchange))

    def items(self, exchange: str) -> list[dict[str, Any]]:
        return all_items(self.messages(exchange))

    def messages(self, exchange: str) -> list[Message]:
        """Return the topic's messages that extractors have sent."""
        return [
            message
            for message in self._topics[exchange].messages()
            if JOURNAL_HEADER in dict(message.headers() or [])
        ]

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
        # The extractor has just been started.
        return error


def counted(items: Iterable[dict[str, Any]]) -> "Counter[str]":
    """Return how often each item occurs, as JSON without `received_at`."""
    return Counter(
        orjson.dumps({name: item[name] for name in item if name != "received_at"}).decode()
        for item in items
    )


def leave_in_journal(folder: Path, exchange: str, sizes: Sequence[int]) -> "Counter[str]":
    """Fill a journal as an ended process leaves it, and return its items.

    The items have 97 symbols in turn, a sequence, and about these sizes in bytes. They can't be
    compressed by more than half.
    """
    now = now_us()
    symbols = [f"LEFT{number % LEFT_SYMBOLS}" for number in range(len(sizes))]
    items: list[dict[str, Any]] = [
        {"s": symbol, "E": number}
        if exchange == "binance"
        else {"subject": symbol, "data": {"sequence": str(number)}}
        for number, symbol in enumerate(symbols)
    ]
    for item, size in zip(items, sizes, strict=True):
        item |= {"noise": secrets.token_hex(size // 2), "received_at": now}
    journal = Journal(folder, limit=100_000_000)
    with closing(journal):
        for first in range(0, len(items), 1000):
            part = [encode_item(each) for each in items[first : first + 1000]]
            assert not journal.append("127.0.0.1", part, now, now=0.0)
    journal.unlock()
    return counted(items)


def written(connections: Iterable[Written], until: Callable[[Written], float]) -> "Counter[str]":
    """Return the items of the frames written to each connection until the time `until(connection)`."""
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
def market_of(settings: Settings, start: Start, owner: Settings | None = None) -> Iterator[Market]:
    """Yield a market whose extractors have these settings. `owner` has the right to read the topics."""
    ledger = Ledger()
    with running(*Simulation().exchanges(observer=ledger)) as address:
        yield Market(address, ledger, settings, start, owner or settings)


def assert_exact(market: Market) -> None:
    """Assert that Kafka and landing/ have exactly what was written. All connections must be closed."""
    for each in EXCHANGES:
        connections = market.connections(each)
        assert [connection.ending for connection in connections] == ["closed"] * len(connections)
        sent = written(connections, everything)
        assert market.in_topic(each) == sent
        assert market.in_landing(each) == sent
    assert market.journal_files() == []


def assert_exact_after_kills(
    market: Market, left: Mapping[str, "Counter[str]"] = MappingProxyType({})
) -> None:
    """Assert that no item is duplicated, and that only items sent just before a kill are missing.

    Just before means within KILL_MARGIN, plus the time in which the extractor waited for a processor, plus
    the longest delay from the writing of a frame to its reading. Both are long on a busy machine. The last
    connection of each exchange must be closed. `left` are the items in the journals at the start.
    """
    for exchange in EXCHANGES:
        connections = market.connections(exchange)
        before = left.get(exchange, Counter())
        items = market.items(exchange)
        found = counted(items)
        killed = [each for each in connections if each.ending != "closed"]
        late = lateness(killed, items)

        def last_sure(connection: Written, exchange: str = exchange, late: int = late) -> float:
            if connection.ending == "closed":
                return everything(connection)
            kill = next(each for each in market.kills if each.ended_at > connection.opened_at)
            return kill.began_at - KILL_MARGIN - late - kill.waited[exchange]

        sure = before + written(connections, last_sure)
        assert connections[-1].ending == "closed"
        assert_none(sure - found, f"missing of {exchange}, read up to {late / 1e6:.1f} s late")
        assert_none(found - before - written(connections, everything), f"too many of {exchange}")
        assert market.in_landing(exchange) == found
    assert market.journal_files() == []


def assert_none(items: "Counter[str]", name: str) -> None:
    """Assert that there is no item. The error has their number and the first one."""
    assert not items, f"{name}: {items.total()} items, such as {next(iter(items))[:200]}"
