"""Let exchanges misbehave at random: 20 s in `make test-faults`, 10 minutes in `make soak-extractors`."""

import os
import random
import time
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import pytest

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.server import Simulation
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items
from tests.support.ledger import Identity, Ledger, Written, identities, lateness, surely_received
from tests.support.random_faults import faults_of, strike
from tests.support.replay_exchange import clear, close, running, settings_at
from tests.support.waiting import pass_time, wait_for

pytestmark = pytest.mark.fault

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
AGE_LIMIT = min(20.0, SECONDS / 5)
"""Seconds after which an extractor replaces a connection."""

LIFETIME = 40.0
"""Seconds after which an exchange closes a connection: longer than age limit and longest back-off."""

EXCHANGES = tuple(TOPIC_OF_EXCHANGE)
DEADLINE = 120.0
GROWTH_LIMIT = 24 * 1024 * 1024
"""Maximum growth of memory in bytes from the second to the last third of the run. In 10 minutes, a leak of
one KuCoin frame in five would exceed it; a run of 20 s is too short to show one."""

SIMULATION = Simulation(
    binance_symbols=300,
    binance_changed=0.9,
    kucoin_rate=1000.0,
    binance=BinanceLimits(ping_interval=0.3, pong_timeout=2.0, connection_lifetime=LIFETIME),
    kucoin=KucoinLimits(
        ping_interval=0.5, silence_timeout=2.0, tokens_once=True, connection_lifetime=LIFETIME
    ),
)


def test_random_faults_lose_no_item_end_no_extractor_and_leak_no_memory(
    settings: Settings, extractor: Callable[[str, Settings], Extractor]
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ledger = Ledger(texts=False)
    topics = {each: Topic(settings, TOPIC_OF_EXCHANGE[each]) for each in EXCHANGES}
    with running(*SIMULATION.exchanges(observer=ledger)) as address:
        exchange_settings = settings_at(settings, address, connection_age_limit=AGE_LIMIT)
        for each in EXCHANGES:
            exchange_settings = exchange_settings.with_exchange(each, silence_limit=3.0)
        processes = {each: extractor(each, exchange_settings) for each in EXCHANGES}
        for process in processes.values():
            # Wait for a rotation now; once there are faults, a back-off may delay it.
            process.wait_for(process.log, _has_rotated, deadline=DEADLINE)
        memory = _misbehave(address, ledger, chance, processes)
        for each in EXCHANGES:
            clear(address, each)
        for each in EXCHANGES:
            _wait_for_every_symbol(ledger, each)
        close(address)
        for each, process in processes.items():
            _wait_until_all_is_read(ledger, each, process)
        for process in processes.values():
            assert process.terminate() == 0, process.log()
    for each in EXCHANGES:
        _assert_nothing_missing(ledger, each, all_items(topics[each].messages()))
        _assert_flat(memory[each])


def _misbehave(
    address: str, ledger: Ledger, chance: random.Random, processes: dict[str, Extractor]
) -> dict[str, list[int]]:
    """Inflict random faults. Return the memory of each process after each fault, in bytes."""
    memory: dict[str, list[int]] = {each: [] for each in EXCHANGES}
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        exchange = chance.choice(EXCHANGES)
        if _is_flowing(ledger, exchange):
            strike(address, exchange, chance.choice(faults_of(exchange)))
        pass_time(chance.uniform(0.0, 0.4) * chance.randrange(1, 10))
        for each, process in processes.items():
            process.assert_running()
            memory[each].append(process.memory())
    return memory


def _is_flowing(ledger: Ledger, exchange: str) -> bool:
    """Return whether the newest connection is open and has more than one frame.

    Otherwise an earlier fault may still have its effect.
    """
    connections = ledger.connections(exchange)
    return (
        bool(connections) and connections[-1].ended_at is None and len(connections[-1].frames) > 1
    )


def _has_rotated(log: str) -> bool:
    return "reason='rotated: age: " in log


def _wait_for_every_symbol(ledger: Ledger, exchange: str) -> None:
    """Wait until one open connection has carried every symbol that any connection has carried."""

    def missing() -> set[str]:
        connections = ledger.connections(exchange)
        every = set[str]().union(*map(_symbols, connections))
        brought = [_symbols(each) for each in connections if each.ended_at is None]
        return every - max(brought, key=len, default=set())

    wait_for(missing, lambda symbols: not symbols, deadline=DEADLINE, pause=0.5)


def _symbols(connection: Written) -> set[str]:
    identities = (identity for frame in connection.frames for identity in frame.identities)
    return {identity[0] for identity in identities if isinstance(identity, tuple)}


def _wait_until_all_is_read(ledger: Ledger, exchange: str, process: Extractor) -> None:
    """Wait until the extractor has read every connection to its end."""
    process.wait_for(
        process.ended_connections,
        lambda ended: all(ended) and len(ended) == len(ledger.connections(exchange)),
        deadline=DEADLINE,
    )


def _assert_nothing_missing(ledger: Ledger, exchange: str, items: list[dict[str, Any]]) -> None:
    connections = ledger.connections(exchange)
    found = identities(items)
    late = lateness(connections, items)
    print(f"{exchange}: {len(connections)} connections, {len(found)} items")
    gaps = {
        (each.number, each.ending, each.reason, each.ended_at): missing
        for each in connections
        if (missing := set(surely_received(each, late)) - set(found))
    }
    written = {i for each in connections for frame in each.frames for i in frame.identities}
    assert not gaps
    assert not set(found) - written, "items that were not sent"
    assert len(connections) > 2
    assert _newest(found) == _newest(written), "newest sequence of each symbol"


def _newest(identities: Iterable[Identity]) -> dict[str, int]:
    """Return the highest sequence of each symbol."""
    newest: dict[str, int] = {}
    for identity in identities:
        if isinstance(identity, tuple):
            symbol, sequence = identity
            newest[symbol] = max(sequence, newest.get(symbol, 0))
    return newest


def _assert_flat(memory: list[int]) -> None:
    """Assert that memory does not grow from the second to the last third; the first fills buffers."""
    third = len(memory) // 3
    before, after = median(memory[third : 2 * third]), median(memory[2 * third :])
    print(f"memory {before / 2**20:.1f} -> {after / 2**20:.1f} MiB")
    assert after - before < GROWTH_LIMIT
