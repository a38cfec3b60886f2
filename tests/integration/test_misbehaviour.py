"""An exchange that misbehaves, an extractor as a process, the real Kafka: nothing is missing, nothing double.

The ledger has what the exchange wrote to each connection, the topic what came of it.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from core.settings import Settings
from core.topics import FEED_EVENTS, TOPIC_OF_EXCHANGE
from infra.exchange.faults import (
    Close,
    Drop,
    Error,
    Fault,
    HalfFrame,
    NoAck,
    NoData,
    NoWelcome,
    RefuseSubscription,
    RefuseWelcome,
    Reorder,
    Repeat,
    Shutdown,
    Silence,
    TooManyRequests,
    Unauthorized,
    Unreadable,
)
from infra.exchange.limits import BinanceLimits, KucoinLimits
from infra.exchange.server import Simulation
from tests.extractor_process import Extractor
from tests.ledger import Ledger, Written
from tests.replay_exchange import inflict, running
from tests.topic import Topic, all_items
from tests.written import assert_each_once, identities

DEADLINE = 40.0
SIMULATION = Simulation(
    binance_symbols=200,
    kucoin_rate=300.0,
    binance=BinanceLimits(ping_interval=0.3, pong_timeout=6.0),
    kucoin=KucoinLimits(ping_interval=0.5, silence_timeout=2.0, tokens_once=True),
)

SILENCE_LIMIT = {"binance": 3.0, "kucoin": 2.0}
CONNECT_INTERVAL = {"binance": 1.0, "kucoin": 2.0}
SLACK = 2.0
"""Seconds for a handshake on a busy machine."""

CLOSED = re.compile(r"connection ended connection=\d+ reason='closed: ")

Start = Callable[[str, Settings], Extractor]


class Trial:
    """One exchange, one extractor that listens to it, and what has come of it."""

    def __init__(
        self, exchange: str, address: str, ledger: Ledger, settings: Settings, start: Start
    ) -> None:
        self.exchange = exchange
        self._address = address
        self._ledger = ledger
        self._raw = Topic(settings, TOPIC_OF_EXCHANGE[exchange])
        self._events = Topic(settings, FEED_EVENTS)
        self._settings = replace(
            settings,
            binance_ws_url=f"ws://{address}",
            binance_rest_url=f"http://{address}",
            kucoin_rest_url=f"http://{address}",
            binance_silence_limit=SILENCE_LIMIT["binance"],
            kucoin_silence_limit=SILENCE_LIMIT["kucoin"],
        )
        self._start = start
        self.extractor: Extractor

    def begin(self, settings: dict[str, float] | None = None) -> None:
        changed: dict[str, Any] = {**(settings or {})}
        self.extractor = self._start(self.exchange, replace(self._settings, **changed))

    def inflict(self, fault: Fault, connections: int | Literal["every", "standing"] = 1) -> None:
        inflict(self._address, self.exchange, fault, connections=connections)

    def connections(self) -> list[Written]:
        return self._ledger.connections(self.exchange)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert self.extractor.is_alive(), self.extractor.log()
            assert time.monotonic() < deadline, self.extractor.log()
            time.sleep(0.02)

    def wait_for_frames(self, connection: int, frames: int = 2) -> None:
        """On the connection of this number, which may be the first after attempts that failed."""
        self.wait_for(
            lambda: (
                len(self.connections()) >= connection
                and len(self.connections()[connection - 1].frames) >= frames
            )
        )

    def end(self) -> list[dict[str, Any]]:
        """Closes what stands, ends the extractor, and gives the items of the topic."""
        closed = len(CLOSED.findall(self.extractor.log()))
        self.inflict(Close(), "standing")
        self.wait_for(lambda: len(CLOSED.findall(self.extractor.log())) > closed)
        assert self.extractor.terminate() == 0, self.extractor.log()
        return all_items(self._raw.messages())

    def story(self) -> list[tuple[str, str | None, bool]]:
        """Kind and reason of each event, and whether it is over; up to the close at the end."""
        events = [json.loads(each.value() or b"") for each in self._events.messages()]
        assert {each["exchange"] for each in events} == {self.exchange}
        return [(each["kind"], each["reason"], each["to"] is not None) for each in events]


Begin = Callable[[str], Trial]


@pytest.fixture
def trial(settings: Settings, extractor: Start) -> Iterator[Begin]:
    ledger = Ledger()
    with running(*SIMULATION.exchanges(observer=ledger)) as address:
        yield lambda exchange: Trial(exchange, address, ledger, settings, extractor)


STARTED = ("interruption", "start", False)
STARTED_OVER = ("interruption", "start", True)
CONNECTION = ("connection", None, False)


def interrupted(reason: str) -> list[tuple[str, str | None, bool]]:
    """A connection that flowed ends, and the next one flows."""
    return [
        ("connection", reason, True),
        ("interruption", reason, False),
        CONNECTION,
        ("interruption", reason, True),
    ]


def assert_back_in_time(trial: Trial, first: Written, second: Written, demanded: float) -> None:
    """As the back-off promises for a first failure: a random second at most, within the limits."""
    assert first.ended_at is not None
    pause = (second.opened_at - first.ended_at) / 1e6
    limit = max(1.0, CONNECT_INTERVAL[trial.exchange], demanded)
    assert demanded <= pause <= limit + SLACK


ENDINGS: list[tuple[str, Fault, str, float]] = [
    # Exchange, fault, reason in feed_events, seconds that the exchange demands.
    ("binance", Drop(after_frames=3), "broken: ", 0.0),
    ("kucoin", Drop(after_frames=900), "broken: ", 0.0),
    ("binance", HalfFrame(after_frames=3), "broken: ", 0.0),
    ("kucoin", HalfFrame(after_frames=900), "broken: ", 0.0),
    ("binance", Close(after_frames=2), "closed: 1000", 0.0),
    ("kucoin", Close(after_frames=700), "closed: 1000", 0.0),
    ("kucoin", Shutdown(after_frames=700, lead=0.2), "closed: 1001", 0.0),
    ("binance", NoData(after_frames=2), "silence: no ticker for 3 s", 0.0),
    ("kucoin", NoData(after_frames=700), "silence: no ticker for 2 s", 0.0),
    ("binance", Error(code=2, after_frames=2), "error_2: ", 0.0),
    ("kucoin", Error(code=401, after_frames=700), "error_401: ", 0.0),
    ("kucoin", Error(code=500, after_frames=700), "error_500: ", 0.0),
    ("kucoin", Error(code=509, after_frames=700), "error_509: ", 10.0),
]


def name_of(case: object) -> str | None:
    return type(case).__name__ if isinstance(case, Fault) else None


@pytest.mark.parametrize(("exchange", "fault", "reason", "demanded"), ENDINGS, ids=name_of)
def test_connection_that_ends_costs_no_frame_and_is_followed_by_another(
    exchange: str, fault: Fault, reason: str, demanded: float, trial: Begin
) -> None:
    it = trial(exchange)
    it.inflict(fault)
    it.begin()
    it.wait_for_frames(connection=2)
    items = it.end()
    first, second = it.connections()[:2]
    assert_each_once(it.connections(), items)
    assert_back_in_time(it, first, second, demanded)
    story = it.story()
    full_reason = story[3][1] or ""
    assert full_reason.startswith(reason)
    assert story[:7] == [STARTED, CONNECTION, STARTED_OVER, *interrupted(full_reason)]
    assert "token=" not in it.extractor.log()


ATTEMPTS: list[tuple[str, Fault, str, float]] = [
    # Exchange, fault, reason in the log, seconds that the exchange demands.
    ("binance", Unauthorized(), "refused: handshake answered 401", 0.0),
    ("kucoin", Unauthorized(), "refused: handshake answered 401", 0.0),
    ("binance", TooManyRequests(wait=4.0), "refused: handshake answered 429", 4.0),
    ("kucoin", TooManyRequests(wait=4.0), "refused: bullet-public answered 429", 4.0),
    ("binance", RefuseSubscription(code=3), "error_3: ", 0.0),
    ("kucoin", RefuseSubscription(code=403), "error_403: ", 0.0),
    ("kucoin", RefuseWelcome(code=401), "error_401: ", 0.0),
    ("binance", Silence(), "silence: no ticker for 3 s", 0.0),
    ("kucoin", Silence(), "unanswered: no welcome within 10 s", 0.0),
    ("kucoin", NoWelcome(), "unanswered: no welcome within 10 s", 0.0),
    ("kucoin", NoAck(), "unanswered: no ack within 10 s", 0.0),
]


@pytest.mark.parametrize(("exchange", "fault", "reason", "demanded"), ATTEMPTS, ids=name_of)
def test_attempt_that_brings_no_data_is_followed_by_another(
    exchange: str, fault: Fault, reason: str, demanded: float, trial: Begin
) -> None:
    it = trial(exchange)
    it.inflict(fault)
    # Longer than KuCoin's answers are waited for.
    it.begin({"kucoin_silence_limit": 12.0})
    it.wait_for(lambda: f"reason='{reason}" in it.extractor.log())
    refused_at = time.time_ns() // 1000
    it.wait_for(lambda: any(len(each.frames) >= 2 for each in it.connections()))
    flowing = next(each for each in it.connections() if each.frames)
    limit = max(1.0, CONNECT_INTERVAL[exchange], demanded) + SLACK
    assert demanded - 0.5 <= (flowing.opened_at - refused_at) / 1e6 <= limit
    items = it.end()
    assert_each_once(it.connections(), items)
    assert [each for each in it.story() if each[0] == "interruption"][:2] == [STARTED, STARTED_OVER]


@pytest.mark.parametrize("code", [400, 404])
def test_topic_that_kucoin_does_not_know_ends_the_process_with_a_message(
    code: int, trial: Begin
) -> None:
    it = trial("kucoin")
    it.inflict(RefuseSubscription(code=code))
    it.begin()
    assert it.extractor.wait(DEADLINE) == 2
    assert f"reason='error_{code}: " in it.extractor.log()


def without_overlap(connections: list[Written]) -> list[Any]:
    """Every identity that was written, once."""
    return sorted({i for each in connections for frame in each.frames for i in frame.identities})


def test_announced_shutdown_costs_nothing_and_doubles_nothing(trial: Begin) -> None:
    it = trial("binance")
    it.inflict(Shutdown(after_frames=2, lead=8.0))
    it.begin()
    it.wait_for(lambda: "'rotated: serverShutdown'" in it.extractor.log())
    items = it.end()
    first, second = it.connections()[:2]
    assert first.ending == "left"
    assert second.opened_at < (first.ended_at or 0)
    assert sorted(identities(items)) == without_overlap(it.connections()[:2])
    story = it.story()
    assert story[:6] == [
        *(STARTED, CONNECTION, STARTED_OVER, CONNECTION),
        ("connection", "rotated: serverShutdown", True),
        ("rotation", "rotated: serverShutdown", True),
    ]


@pytest.mark.parametrize("exchange", ["binance", "kucoin"])
def test_connection_of_a_certain_age_is_replaced_without_loss_and_without_doubles(
    exchange: str, trial: Begin
) -> None:
    it = trial(exchange)
    it.begin({"connection_age_limit": 5.0})
    it.wait_for(lambda: it.extractor.log().count("reason='rotated: age: 5 s' healthy_for=") == 2)
    items = it.end()
    rotated = it.connections()[:3]
    assert [each.ending for each in rotated] == ["left", "left", "closed"]
    found = identities(items)
    written = without_overlap(rotated)
    assert [each for each in sorted(found) if each in set(written)] == written
    story = it.story()
    rotations = [each for each in story if each[0] == "rotation"]
    assert rotations == [("rotation", "rotated: age: 5 s", True)] * 2
    assert story.index(rotations[-1]) < len(story)
    before = story[: story.index(rotations[0]) + 1]
    assert [each for each in before if each[0] == "interruption"] == [STARTED, STARTED_OVER]


@pytest.mark.parametrize("exchange", ["binance", "kucoin"])
@pytest.mark.parametrize(
    "fault", [Reorder(every=3), Repeat(every=3), Unreadable(every=3)], ids=name_of
)
def test_frames_that_are_out_of_order_doubled_or_unreadable_arrive_as_they_were_sent(
    exchange: str, fault: Fault, trial: Begin
) -> None:
    it = trial(exchange)
    it.inflict(fault, "every")
    it.begin()
    it.wait_for_frames(connection=1, frames={"binance": 8, "kucoin": 900}[exchange])
    items = it.end()
    [connection] = [each for each in it.connections() if each.ending == "closed"]
    sent = [identity for frame in connection.frames for identity in frame.identities]
    assert by_symbol(identities(items)) == by_symbol(sent)


def by_symbol(identities: list[Any]) -> dict[str, list[Any]]:
    """In their order; what could not be read has no symbol."""
    grouped: dict[str, list[Any]] = {}
    for identity in identities:
        grouped.setdefault(identity[0] if isinstance(identity, tuple) else "", []).append(identity)
    return grouped
