"""Test that the report has the recorded results and names every problem."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.soak.record import Flow, Kill, Record, problems
from tests.soak.report import markdown

BEGAN = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)

BINANCE = Flow(
    exchange="binance",
    connections=3,
    sent=5200,
    sure=5000,
    missing=0,
    made_up=0,
    items=5100,
    messages=40,
    landing=5100,
    raw=40,
    tickers=5090,
    dead_letters=7,
    no_price=3,
)
KUCOIN = replace(BINANCE, exchange="kucoin", sent=1_000_000)


def record() -> Record:
    moments = [BEGAN + timedelta(seconds=10 * number) for number in range(3)]
    return Record(
        command="make soak",
        began=BEGAN,
        seconds=1800.0,
        rate=4000.0,
        planned_kills=3,
        seed=7,
        machine="2 cores",
        versions={"Spark": "4.1"},
        kills=[
            Kill(moments[0], "jobs", 31.0),
            Kill(moments[1], "kafka", 8.25),
            Kill(moments[2], "jobs", 40.0),
        ],
        faults={"binance": {"drop": 2, "close": 1}},
        flows=[BINANCE, KUCOIN],
        audit=["live_prices: 2 rows, 0 differ"],
        audit_differs=0,
        took=2400.0,
    )


def test_a_run_without_differences_has_passed_and_shows_what_it_saw() -> None:
    text = markdown(record())
    assert list(problems(record())) == []
    assert "**Passed.** 3 kills, 1,005,200 items sent, 0 differences." in text
    assert "`make soak`, begun 2026-11-27 10:00 UTC" in text
    assert not any(line.startswith(" ") or len(line) > 120 for line in text.splitlines())
    assert "it took 40 minutes" in " ".join(text.split())
    for row in (
        "| machine | 2 cores |",
        "| Spark | 4.1 |",
        "| faults of binance: 3 | close 1, drop 2 |",
        "| 10:00:10 | Kafka | 8.2 |",
        "| Spark driver | 2 | 35.5 | 40.0 |",
        "| all | 3 | 31.0 | 40.0 |",
        "| items sent | 5,200 | 1,000,000 |",
        "| no price | 3 | 3 |",
        "| items in Kafka that were never sent | 0 | 0 |",
        "live_prices: 2 rows, 0 differ",
    ):
        assert row in text.splitlines()


def test_every_kind_of_failure_is_named() -> None:
    failed = record()
    failed.kills[1].seconds = None
    failed.kills.pop()
    failed.flows = [replace(BINANCE, missing=2, made_up=1, landing=5099, raw=41, tickers=5000)]
    failed.audit_differs = 12
    failed.errors.append("Kafka did not take the last 5 items")
    assert list(problems(failed)) == [
        "Kafka did not take the last 5 items",
        "2 kills, expected 3",
        "kafka, killed at 10:00:10, did not recover in time",
        "binance: surely received items not in Kafka: 2 differ",
        "binance: items in Kafka that were never sent: 1 differ",
        "binance: items in Kafka against items in landing/: 1 differ",
        "binance: messages in Kafka against messages in raw/: 1 differ",
        "binance: items in Kafka against tickers/, dead letters and no price: 90 differ",
        "the audit found 12 differences",
    ]
    text = markdown(failed)
    assert "**Failed.**" in text
    assert "- the audit found 12 differences" in text.splitlines()
    assert "| 10:00:10 | Kafka | not in time |" in text.splitlines()
    assert "| Kafka | 1 | not in time | not in time |" in text.splitlines()


def test_a_program_that_mostly_did_not_recover_has_no_median() -> None:
    found = record()
    found.kills = [Kill(BEGAN, "jobs", seconds) for seconds in (10.0, None, None)]
    assert "| Spark driver | 3 | not in time | not in time |" in markdown(found).splitlines()


def test_a_run_that_broke_off_is_reported_too() -> None:
    broken = Record(
        "make soak", BEGAN, 1800.0, 4000.0, 0, 7, "2 cores", {}, errors=["no port is free"]
    )
    assert list(problems(broken)) == [
        "no port is free",
        "the items were not counted",
        "the audit did not run to its end",
    ]
    assert "- no port is free" in markdown(broken).splitlines()
