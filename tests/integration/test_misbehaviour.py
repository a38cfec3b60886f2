"""Let an exchange misbehave towards an extractor process: no item is lost or duplicated in Kafka.

The ledger holds the frames that the exchange wrote to each connection; the topic holds the items.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from core.settings import Settings
from core.topics import FEED_EVENTS, TOPIC_OF_EXCHANGE
from infra.replay.faults.faults import (
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
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.server import Simulation
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items
from tests.support.ledger import Identity, Ledger, Written, assert_each_once, identities
from tests.support.replay_exchange import inflict, running, settings_at

pytestmark = pytest.mark.independent

SIMULATION = Simulation(
    binance_symbols=200,
    kucoin_rate=300.0,
    binance=BinanceLimits(ping_interval=0.3, pong_timeout=6.0),
    kucoin=KucoinLimits(ping_interval=0.5, silence_timeout=5.0, tokens_once=True),
)

CONNECT_INTERVAL = {"binance": 1.1, "kucoin": 2.2}
SLACK = 15.0
"""Extra seconds for a handshake on a machine that is busy with other tests."""

FIRST_PAUSE = re.compile(r"connecting again connection=2 in=([\d.]+)")
FIRST_END = re.compile(r"^(\S+Z) .* connection ended connection=1 ", re.MULTILINE)

Start = Callable[[str, Settings], Extractor]


class Trial:
    """One exchange, its extractor, and the messages that it has produced."""

    def __init__(
        self, exchange: str, address: str, ledger: Ledger, settings: Settings, start: Start
    ) -> None:
        self.exchange = exchange
        self._address = address
        self._ledger = ledger
        self._raw = Topic(settings, TOPIC_OF_EXCHANGE[exchange])
        self._events = Topic(settings, FEED_EVENTS)
        self._settings = settings_at(settings, address)
        self._start = start
        self.extractor: Extractor

    def begin(self, connection_age_limit: float | None = None, **of_exchange: float) -> None:
        """Start the extractor, with these settings of the exchange."""
        settings = self._settings.with_exchange(self.exchange, **of_exchange)
        if connection_age_limit is not None:
            settings = replace(settings, connection_age_limit=connection_age_limit)
        self.extractor = self._start(self.exchange, settings)

    def inflict(self, fault: Fault, connections: int | Literal["every", "open"] = 1) -> None:
        inflict(self._address, self.exchange, fault, connections=connections)

    def connections(self) -> list[Written]:
        return self._ledger.connections(self.exchange)

    def wait_for_log(self, text: str, times: int = 1) -> None:
        self.extractor.wait_for(self.extractor.log, lambda log: log.count(text) >= times)

    def wait_for_frames(self, connection: int = 1, frames: int = 2) -> None:
        """Wait for frames on the connection with this number, or on a later one."""
        self.extractor.wait_for(
            lambda: [len(each.frames) for each in self.connections()],
            lambda counts: any(count >= frames for count in counts[connection - 1 :]),
        )

    def end(self) -> list[dict[str, Any]]:
        """Close the open connections, end the extractor, and return the items of the topic."""
        were_open = {each.number for each in self.connections() if each.ended_at is None}
        assert were_open
        self.inflict(Close(), "open")
        self.extractor.wait_for(lambda: self._unread(were_open), lambda unread: not unread)
        assert self.extractor.terminate() == 0, self.extractor.log()
        return all_items(self._raw.messages())

    def _unread(self, were_open: set[int]) -> set[int]:
        """Return the connections that are closed or in `were_open`, but not read to their end yet."""
        closed = {each.number for each in self.connections() if each.ending == "closed"}
        has_ended = dict(enumerate(self.extractor.ended_connections(), 1))
        return {number for number in were_open | closed if not has_ended.get(number)}

    def first_pause(self) -> tuple[float, float]:
        """Return the pause after the first attempt, in seconds: as logged and as measured."""
        log = self.extractor.log()
        [meant] = FIRST_PAUSE.findall(log)
        [ended] = FIRST_END.findall(log)
        ended_at = datetime.strptime(ended, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        waited = [each.opened_at / 1e6 - ended_at.timestamp() for each in self.connections()]
        return float(meant), next(seconds for seconds in waited if seconds > 0)

    def feed_events(self) -> list[tuple[str, str | None, bool]]:
        """Return kind and reason of each feed event, and whether it is over."""
        events = [json.loads(each.value() or b"") for each in self._events.messages()]
        assert {each["exchange"] for each in events} == {self.exchange}
        return [(each["kind"], each["reason"], each["to"] is not None) for each in events]


Begin = Callable[[str], Trial]


@pytest.fixture
def trial(settings: Settings, extractor: Start) -> Iterator[Begin]:
    ledger = Ledger()
    with running(*SIMULATION.exchanges(observer=ledger)) as address:
        yield lambda exchange: Trial(exchange, address, ledger, settings, extractor)


START_OPEN = ("interruption", "start", False)
START_ENDED = ("interruption", "start", True)
CONNECTION = ("connection", None, False)


def interrupted(reason: str) -> list[tuple[str, str | None, bool]]:
    """Return the events of a connection that ends after its first frames, and of the next one."""
    return [
        ("connection", reason, True),
        ("interruption", reason, False),
        CONNECTION,
        ("interruption", reason, True),
    ]


def assert_reconnected_in_time(trial: Trial, demanded: float) -> None:
    """Assert the pause after a first failure, in seconds.

    It is at least `demanded`, and at most the longest of 1 s, the exchange's interval of connections and
    `demanded`.
    """
    limit = max(1.0, CONNECT_INTERVAL[trial.exchange], demanded)
    meant, waited = trial.first_pause()
    assert demanded <= meant <= limit
    assert demanded <= waited <= limit + SLACK


SHORT_SILENCE = {"binance": 3.0, "kucoin": 2.0}


def short_silence(exchange: str, fault: Fault) -> dict[str, float]:
    """Return settings that end a silent connection soon; any other connection keeps the usual limits."""
    is_silent = isinstance(fault, NoData | Silence)
    return {"silence_limit": SHORT_SILENCE[exchange]} if is_silent else {}


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
    it.begin(**short_silence(exchange, fault))
    it.wait_for_frames(connection=2)
    items = it.end()
    assert_each_once(it.connections(), items)
    assert_reconnected_in_time(it, demanded)
    events = it.feed_events()
    full_reason = events[3][1] or ""
    assert full_reason.startswith(reason)
    assert events[:7] == [START_OPEN, CONNECTION, START_ENDED, *interrupted(full_reason)]
    assert "token=" not in it.extractor.log()


ATTEMPTS: list[tuple[str, Fault, str, float]] = [
    # Exchange, fault, reason in the log, seconds that the exchange demands.
    ("binance", Unauthorized(), "refused: handshake answered 401", 0.0),
    ("kucoin", Unauthorized(), "refused: handshake answered 401", 0.0),
    ("binance", TooManyRequests(wait=4.0), "refused: handshake answered 429", 4.0),
    ("kucoin", TooManyRequests(wait=4.0), "refused: /api/v1/bullet-public answered 429", 4.0),
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
    # KuCoin's silence limit must exceed the timeout for its answers.
    longer = {"silence_limit": 12.0} if exchange == "kucoin" else {}
    it.begin(**(short_silence(exchange, fault) | longer))
    it.wait_for_log(f"connection ended connection=1 reason='{reason}")
    it.wait_for_frames()
    items = it.end()
    assert_each_once(it.connections(), items)
    assert_reconnected_in_time(it, demanded)
    first, second, *_ = [each for each in it.feed_events() if each[0] == "interruption"]
    assert first == START_OPEN
    if reason.startswith("refused"):
        # Only a refused attempt changes the interruption; any other has an event of its connection.
        assert (second[1] or "").startswith(f"start; {reason}")
    else:
        assert second == START_ENDED


@pytest.mark.parametrize("code", [400, 404])
def test_topic_that_kucoin_does_not_know_ends_the_process_with_a_message(
    code: int, trial: Begin
) -> None:
    it = trial("kucoin")
    it.inflict(RefuseSubscription(code=code))
    it.begin()
    assert it.extractor.wait() == 2
    assert f"reason='error_{code}: " in it.extractor.log()


def written_to(connections: list[Written]) -> set[Identity]:
    return {i for each in connections for frame in each.frames for i in frame.identities}


def assert_once_despite_overlap(
    rotated: list[Written], connections: list[Written], items: list[dict[str, Any]]
) -> None:
    """Assert that items of rotated connections arrived once, even if two connections carried them."""
    written = written_to(rotated)
    found = identities(items)
    assert Counter(each for each in found if each in written) == Counter(written)
    assert set(found) <= written_to(connections)


def test_announced_shutdown_costs_nothing_and_doubles_nothing(trial: Begin) -> None:
    it = trial("binance")
    # The lead exceeds the duration of a rotation on a busy machine, so the extractor closes first.
    it.inflict(Shutdown(after_frames=2, lead=40.0))
    it.begin()
    it.wait_for_log("'rotated: serverShutdown'")
    items = it.end()
    first, second = it.connections()[:2]
    assert [first.ending, second.ending] == ["left", "closed"]
    assert second.opened_at < (first.ended_at or 0)
    assert_once_despite_overlap([first, second], it.connections(), items)
    events = it.feed_events()
    assert events[:6] == [
        *(START_OPEN, CONNECTION, START_ENDED, CONNECTION),
        ("connection", "rotated: serverShutdown", True),
        ("rotation", "rotated: serverShutdown", True),
    ]


@pytest.mark.parametrize("exchange", ["binance", "kucoin"])
def test_connection_of_a_certain_age_is_replaced_without_loss_and_without_doubles(
    exchange: str, trial: Begin
) -> None:
    it = trial(exchange)
    it.begin(connection_age_limit=3.0)
    it.wait_for_log("reason='rotated: age: 3 s' healthy_for=", times=2)
    items = it.end()
    connections = it.connections()
    endings = [each.ending for each in connections]
    closed = endings.index("closed")
    assert endings[:closed] == ["left"] * closed and closed >= 2
    assert_once_despite_overlap(connections[: closed + 1], connections, items)
    rotated = ("rotation", "rotated: age: 3 s", True)
    events = it.feed_events()
    rotations = [index for index, each in enumerate(events) if each == rotated]
    assert len(rotations) == closed
    until_the_last = events[: rotations[-1]]
    assert [each for each in until_the_last if each[0] == "interruption"] == [
        START_OPEN,
        START_ENDED,
    ]


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
    it.wait_for_frames(frames={"binance": 8, "kucoin": 900}[exchange])
    items = it.end()
    [connection] = [each for each in it.connections() if each.ending == "closed"]
    sent = [identity for frame in connection.frames for identity in frame.identities]
    assert by_symbol(identities(items)) == by_symbol(sent)


def by_symbol(identities: list[Any]) -> dict[str, list[Any]]:
    """Group identities by symbol, in order; unreadable items have no symbol."""
    grouped: dict[str, list[Any]] = {}
    for identity in identities:
        grouped.setdefault(identity[0] if isinstance(identity, tuple) else "", []).append(identity)
    return grouped
