"""Test the control API of the replay exchange, and the queue of pending faults."""

from collections.abc import Iterator

import pytest
import requests

from infra.replay.faults.faults import (
    KINDS,
    Close,
    Disturbance,
    Drop,
    Error,
    Fault,
    Reorder,
    Shutdown,
    Strike,
    fault_of,
)
from infra.replay.faults.waiting import Waiting
from infra.replay.server import Simulation
from tests.support.replay_exchange import running
from tests.support.waiting import DEADLINE


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(*Simulation(binance_symbols=1).exchanges()) as address:
        yield address


@pytest.mark.parametrize(
    ("exchange", "body", "problem"),
    [
        ("kucoin", "what", "'what': expected JSON, Expecting value: line 1 column 1 (char 0)"),
        ("kucoin", "[" * 100_000, "'[["),
        ("kucoin", "[]", "'[]': expected an object"),
        ("kucoin", "{}", "fault=None: expected one of unauthorized, too_many_requests, "),
        ("kucoin", '{"fault":"rain"}', "fault='rain': expected one of unauthorized, "),
        ("kucoin", '{"fault":["drop"]}', "fault=['drop']: expected one of unauthorized, "),
        (
            "kucoin",
            '{"fault":"drop","after_frames":-1}',
            "after_frames=-1: expected a whole number from 0",
        ),
        (
            "kucoin",
            '{"fault":"drop","after_frames":1.5}',
            "after_frames=1.5: expected a whole number",
        ),
        (
            "kucoin",
            '{"fault":"drop","after_frames":true}',
            "after_frames=True: expected a whole number",
        ),
        ("kucoin", '{"fault":"repeat","every":0}', "every=0: expected a whole number from 1"),
        (
            "kucoin",
            '{"fault":"candles_fail","status":1000}',
            "status=1000: expected a whole number from 400 to 599",
        ),
        ("kucoin", '{"fault":"shutdown","lead":NaN}', "lead=nan: expected a number from 0"),
        ("kucoin", f'{{"fault":"shutdown","lead":{10**310}}}', "lead=10000"),
        ("kucoin", '{"fault":"shutdown","lead":"1"}', "lead='1': expected a number"),
        ("kucoin", '{"fault":"drop","every":2}', "every=2: drop has no such parameter"),
        ("kucoin", '{"fault":"error"}', "code is missing: error needs it"),
        (
            "kucoin",
            '{"fault":"drop","connections":0}',
            'connections=0: expected a number from 1, "every" or "open"',
        ),
        (
            "kucoin",
            '{"fault":"no_ack","connections":"open"}',
            "connections='open': no_ack can't affect open connections",
        ),
        ("binance", '{"fault":"no_ack"}', "fault='no_ack': not in the protocol of binance"),
    ],
)
def test_a_request_that_can_not_be_met_is_refused_by_name_and_value(
    address: str, exchange: str, body: str, problem: str
) -> None:
    answer = requests.post(f"http://{address}/control/{exchange}", data=body, timeout=DEADLINE)
    assert answer.status_code == 400
    assert answer.text.startswith(problem)


def test_an_unknown_exchange_is_not_found(address: str) -> None:
    for method in ("POST", "DELETE"):
        answer = requests.request(method, f"http://{address}/control/mtgox", timeout=DEADLINE)
        assert answer.status_code == 404
        assert answer.text == "exchange='mtgox': expected ['binance', 'kucoin']"


def test_a_fault_is_known_by_its_name_and_has_defaults() -> None:
    assert fault_of("half_frame", {}) == KINDS["half_frame"]()
    assert fault_of("drop", {"after_frames": 3}) == Drop(after_frames=3)
    assert fault_of("shutdown", {"lead": 2}) == Shutdown(after_frames=0, lead=2)
    assert fault_of("error", {"code": -1003}) == Error(code=-1003)


def test_a_connection_takes_the_oldest_fault_of_each_kind_in_a_family() -> None:
    waiting = Waiting()
    faults: list[Fault] = [Drop(after_frames=1), Drop(after_frames=2), Close(), Reorder()]
    for fault in faults:
        waiting.add(fault, 1)
    assert waiting.take(Strike) == [Drop(after_frames=1), Close()]
    assert waiting.take(Disturbance) == [Drop(after_frames=2), Reorder()]
    assert waiting.take(Disturbance) == []


def test_a_fault_is_taken_as_often_as_it_was_meant_to_be() -> None:
    waiting = Waiting()
    waiting.add(Drop(), 2)
    waiting.add(Close(), None)
    taken = [waiting.take(Disturbance) for _ in range(4)]
    assert taken == [[Drop(), Close()], [Drop(), Close()], [Close()], [Close()]]
    waiting.clear()
    assert waiting.take(Disturbance) == []
