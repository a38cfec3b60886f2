"""Stop services, kill extractors, fill the journal: every kept item is in Kafka and in landing/ once.

Outages are short in `make test-faults`; `make soak-extractors` runs them at full length.
"""

import os
import random
from pathlib import Path

import pytest

from infra.stack import Stack
from tests.support.market import (
    EXCHANGES,
    Market,
    assert_exact,
    assert_exact_after_kills,
    everything,
    leave_in_journal,
    written,
)
from tests.support.stacks import unavailable
from tests.support.waiting import pass_time

pytestmark = [pytest.mark.independent, pytest.mark.fault]

OUTAGE = float(os.environ.get("OUTAGE_SECONDS", "8"))
KILLS = int(os.environ.get("KILLS", "3"))


@pytest.mark.parametrize(
    "services", [("kafka",), ("minio",), ("kafka", "minio")], ids=["kafka", "minio", "both"]
)
def test_an_unavailable_service_loses_nothing(
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
    market.begin()
    for _ in range(KILLS):
        pass_time(chance.uniform(0.5, 6.0))
        market.kill()
        market.begin()
    market.close()
    market.wait_for_kafka()
    market.end_with_empty_journals()
    assert_exact_after_kills(market)


def test_full_journal_keeps_the_oldest_and_counts_what_it_refuses(
    market: Market, stack: Stack, tmp_path: Path
) -> None:
    with unavailable(stack, "kafka", "minio"):
        # These oldest items fill more than half of the journal.
        left = {
            each: leave_in_journal(tmp_path / "journal" / each, each, [900] * 900)
            for each in EXCHANGES
        }
        market.begin(journal_limit_bytes=1_500_000)
        market.wait_for_log("journal refuses items")
        market.wait_for_frames()
    market.wait_for_log("journal accepting items again")
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
