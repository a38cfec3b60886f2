"""All misbehaviours at random: 45 seconds in every test run, ten minutes in `make soak-extractors`."""

import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from statistics import median

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.exchange.faults import (
    Close,
    Disturbance,
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
from tests.ledger import Identity, Ledger
from tests.replay_exchange import clear, inflict, running
from tests.topic import Topic, all_items
from tests.written import identities, surely_received

SECONDS = float(os.environ.get("SOAK_SECONDS", "45"))
REFUSED = "refused: handshake answered 401"
EXCHANGES = tuple(TOPIC_OF_EXCHANGE)
DEADLINE = 60.0
GROWTH_LIMIT = 24 * 1024 * 1024
"""Bytes. A leak of one frame in a hundred would be more in ten minutes."""

SIMULATION = Simulation(
    binance_symbols=300,
    binance_changed=0.9,
    kucoin_rate=1000.0,
    binance=BinanceLimits(ping_interval=0.3, pong_timeout=2.0, connection_lifetime=40.0),
    kucoin=KucoinLimits(
        ping_interval=0.5, silence_timeout=2.0, tokens_once=True, connection_lifetime=40.0
    ),
)

OF_BOTH: list[Fault] = [
    *(Drop(after_frames=1), HalfFrame(after_frames=1), Close(), Silence(), NoData()),
    *(Shutdown(lead=2.0), Unauthorized(), TooManyRequests(wait=1.0), Error(code=2)),
    *(Reorder(every=5), Repeat(every=5), Unreadable(every=5), RefuseSubscription(code=500)),
]
OF_KUCOIN: list[Fault] = [
    *(NoWelcome(), NoAck(), RefuseWelcome(code=401), Error(code=401), Error(code=509)),
]


def test_random_misbehaviour_loses_nothing_kills_nobody_and_grows_nothing(
    settings: Settings, extractor: Callable[[str, Settings], Extractor]
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ledger = Ledger(texts=False)
    topics = {each: Topic(settings, TOPIC_OF_EXCHANGE[each]) for each in EXCHANGES}
    with running(*SIMULATION.exchanges(observer=ledger)) as address:
        leading_there = replace(
            settings,
            binance_ws_url=f"ws://{address}",
            binance_rest_url=f"http://{address}",
            kucoin_rest_url=f"http://{address}",
            binance_silence_limit=3.0,
            kucoin_silence_limit=3.0,
            connection_age_limit=20.0,
        )
        processes = {each: extractor(each, leading_there) for each in EXCHANGES}
        memory: dict[str, list[int]] = {each: [] for each in EXCHANGES}
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            exchange = chance.choice(EXCHANGES)
            if _flows(ledger, exchange):
                faults = OF_BOTH + (OF_KUCOIN if exchange == "kucoin" else [])
                _strike(address, exchange, chance.choice(faults))
            time.sleep(chance.uniform(0.0, 0.4) * chance.randrange(1, 10))
            for each, process in processes.items():
                assert process.is_alive(), process.log()
                memory[each].append(process.memory())
        for each, process in processes.items():
            clear(address, each)
            _wait_until(lambda each=each: _is_whole(ledger, each))  # type: ignore[misc]
            _close_for_good(address, each, process)
        for process in processes.values():
            assert process.terminate() == 0, process.log()
    for each in EXCHANGES:
        _assert_nothing_missing(ledger, each, identities(all_items(topics[each].messages())))
        _assert_flat(memory[each])


def _flows(ledger: Ledger, exchange: str) -> bool:
    """What does not flow has a fault already."""
    connections = ledger.connections(exchange)
    return (
        bool(connections) and connections[-1].ended_at is None and len(connections[-1].frames) > 1
    )


def _strike(address: str, exchange: str, fault: Fault) -> None:
    """What stands, or what comes next: then what stands is ended."""
    if isinstance(fault, Disturbance):
        inflict(address, exchange, fault, "standing")
    else:
        inflict(address, exchange, fault, 1)
        inflict(address, exchange, Drop(), "standing")


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _is_whole(ledger: Ledger, exchange: str) -> bool:
    """One connection, now that all is well, has brought every symbol that was ever brought."""
    connections = ledger.connections(exchange)
    symbols = [_newest(i for f in each.frames for i in f.identities).keys() for each in connections]
    return connections[-1].ended_at is None and symbols[-1] == set().union(*symbols)


def _close_for_good(address: str, exchange: str, process: Extractor) -> None:
    """In an orderly way; then nobody may come back."""
    refused = process.log().count(REFUSED)
    inflict(address, exchange, Unauthorized(), "every")
    inflict(address, exchange, Close(), "standing")
    _wait_until(lambda: process.log().count(REFUSED) > refused)


def _assert_nothing_missing(ledger: Ledger, exchange: str, found: list[Identity]) -> None:
    connections = ledger.connections(exchange)
    print(f"{exchange}: {len(connections)} connections, {len(found)} items")
    gaps = {
        (each.number, each.ending, each.reason, each.ended_at): missing
        for each in connections
        if (missing := set(surely_received(each)) - set(found))
    }
    written = {i for each in connections for frame in each.frames for i in frame.identities}
    assert not gaps
    assert not set(found) - written, "made up"
    assert len(connections) > 2
    assert _newest(found) == _newest(written), "the final state of every symbol"


def _newest(identities: Iterable[Identity]) -> dict[str, int]:
    """Of each symbol the highest sequence."""
    newest: dict[str, int] = {}
    for identity in identities:
        if isinstance(identity, tuple):
            symbol, sequence = identity
            newest[symbol] = max(sequence, newest.get(symbol, 0))
    return newest


def _assert_flat(memory: list[int]) -> None:
    """The last third against the second: the first fills what is bounded."""
    third = len(memory) // 3
    before, after = median(memory[third : 2 * third]), median(memory[2 * third :])
    print(f"memory {before / 2**20:.1f} -> {after / 2**20:.1f} MiB")
    assert after - before < GROWTH_LIMIT
