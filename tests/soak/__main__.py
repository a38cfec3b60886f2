"""Kill programs at random while the exchanges misbehave, then compare the data in every part.

    make soak                            half an hour, 24 kills
    make soak SOAK_SECONDS=90 KILLS=3    a short one

Writes docs/soak.md. The exit status is 1 if anything differs or a program did not recover in time; then
the stack's folder is kept, with its data and logs.
"""

import random
import signal
import sys
import time
from argparse import ArgumentParser
from dataclasses import replace
from datetime import UTC, datetime

from benchmarks.harness.measuring import machine
from core.topics import TOPIC_OF_EXCHANGE
from infra import first_prices, paths, supervision
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.server import Simulation
from infra.stack import Stack, delete, stack_on_free_ports
from infra.up import EXTRACTORS, JOBS, services_up
from tests.soak.counts import flows
from tests.soak.drain import audit, drain
from tests.soak.kills import kill_at_random, plan
from tests.soak.misbehaviour import misbehaving
from tests.soak.record import Record, problems
from tests.soak.report import markdown
from tests.soak.sent import Sent
from tests.soak.versions import versions
from tests.support.replay_exchange import running, settings_at
from tests.support.waiting import pass_time

REPORT = paths.PROJECT / "docs" / "soak.md"

SIMULATION = Simulation(
    # 4,000 items/s: 1,300 of Binance (90% of its 1,440 symbols each second) and 2,700 of KuCoin.
    binance_changed=0.9,
    kucoin_rate=2700.0,
    binance=BinanceLimits(connection_lifetime=300.0),
    kucoin=KucoinLimits(connection_lifetime=300.0, tokens_once=True),
)

# Seconds; shorter than the defaults (10 and 15), so that a silent connection is replaced sooner.
SILENCE_LIMIT = 5.0
# Shorter than the defaults, so that kills hit more rotations and more batches of the lake.
CHANGED = {"connection_age_limit": 120.0, "lake_batch_seconds": 20}


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, required=True, help="how long the exchanges send")
    parser.add_argument("--kills", type=int, required=True)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    began = time.monotonic()
    record = Record(
        command=f"make soak SOAK_SECONDS={asked.seconds:.0f} KILLS={asked.kills}",
        began=datetime.now(UTC),
        seconds=asked.seconds,
        rate=SIMULATION.binance_symbols * SIMULATION.binance_changed + SIMULATION.kucoin_rate,
        planned_kills=asked.kills,
        seed=random.randrange(1_000_000),
        machine=machine(),
        versions={},
    )
    stack = stack_on_free_ports("soak")
    try:
        soak(stack, record)
    except Exception as error:
        # The report still has what was recorded until then.
        record.errors.append(f"{type(error).__name__}: {error}")
    finally:
        supervision.stop(stack)
    record.took = time.monotonic() - began
    REPORT.write_text(markdown(record))
    print(f"report in {REPORT.relative_to(paths.PROJECT)}")
    if found := list(problems(record)):
        print("\n".join([*found, f"data and logs are kept in {stack.folder}"]))
        return 1
    delete(stack)
    stack.folder.parent.rmdir()
    return 0


def soak(stack: Stack, record: Record) -> None:
    """Run the soak and fill the record. Raise an error that prevents it from continuing."""
    chance = random.Random(record.seed)
    sent = Sent()
    with running(*SIMULATION.exchanges(observer=sent)) as address:
        settings = settings_at(stack.settings, address, **CHANGED)
        for exchange in EXTRACTORS:
            settings = settings.with_exchange(exchange, silence_limit=SILENCE_LIMIT)
        stack = replace(stack, settings=settings)
        services_up(stack)
        record.versions = versions(stack)
        supervision.start_programs(stack, [*EXTRACTORS, *JOBS, "server"])
        first_prices.wait(stack, EXTRACTORS)
        began = time.monotonic()
        with misbehaving(address, random.Random(record.seed)) as faults:
            record.faults = faults
            planned = plan(record.planned_kills, record.seconds, chance)
            kill_at_random(stack, planned, record.kills, chance)
            pass_time(max(0.0, began + record.seconds - time.monotonic()))
        record.seconds = time.monotonic() - began
        drain(stack, address)
    connections = {exchange: sent.connections(exchange) for exchange in TOPIC_OF_EXCHANGE}
    record.flows = flows(stack.settings, connections)
    record.audit, record.audit_differs = audit(stack)


if __name__ == "__main__":
    sys.exit(main())
