"""Run all checks, in an order in which a finding may explain those after it, and format the findings."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import psycopg2
import requests
from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException
from deltalake.exceptions import DeltaError

from exchanges import EXCHANGES
from infra.doctor import (
    bucket,
    clocks,
    exchange,
    feeds,
    journals,
    lost_items,
    machine,
    programs,
    progress,
    tables,
    topics,
    versions,
)
from infra.doctor.finding import Finding
from infra.doctor.target import Target
from infra.stack import StackError
from spark_jobs.errors import JobError

KAFKA, STORE, POSTGRES = "Kafka", "object store", "Postgres"

ERRORS = (
    *(KafkaException, psycopg2.Error, BotoCoreError, ClientError, DeltaError),
    *(JobError, StackError, requests.RequestException, OSError),
)
"""Errors of a service during a check. Any other is a bug of the check."""

WIDTH = 24


class Check(NamedTuple):
    """`needs` are the titles of the checks that must succeed before this one can be done."""

    title: str
    findings: Callable[[], Iterable[Finding]]
    needs: tuple[str, ...] = ()


class Result(NamedTuple):
    title: str
    findings: list[Finding]
    missing: str = ""
    """Check that failed, because of which this one was not done; empty if it was done."""


def checks(target: Target) -> list[Check]:
    settings = target.settings
    of_stack = (
        [Check("programs", partial(programs.failed_programs, target.stack))] if target.stack else []
    )
    return [
        Check("prerequisites", versions.prerequisites),
        Check("jars", versions.jars),
        Check("disks", partial(machine.disks, target)),
        *of_stack,
        Check(KAFKA, partial(topics.connection, target)),
        Check(STORE, partial(bucket.connection, target)),
        Check(POSTGRES, partial(tables.connections, target)),
        Check("topics", partial(topics.topics, settings), (KAFKA,)),
        Check("rights in Kafka", partial(topics.rights, settings), (KAFKA,)),
        Check("lifecycle rules", partial(bucket.lifecycle, settings), (STORE,)),
        Check("rights in the store", partial(bucket.rights, settings), (STORE,)),
        Check("migrations", partial(tables.migrations, settings), (POSTGRES,)),
        Check("tables", partial(tables.tables, settings), (POSTGRES, "migrations")),
        Check("rights in Postgres", partial(tables.rights, settings), (POSTGRES,)),
        Check("clock of Postgres", partial(clocks.postgres_clock, settings), (POSTGRES,)),
        Check("clock of the store", partial(clocks.object_store_clock, settings), (STORE,)),
        Check("clock of Kafka", partial(clocks.kafka_clock, settings), (KAFKA,)),
        *(Check(each.title, partial(exchange.exchange, each, settings)) for each in EXCHANGES),
        Check("journals", partial(journals.journals, settings)),
        Check("lost items", partial(lost_items.lost_items, settings)),
        Check("live_prices", partial(progress.live_prices, settings), (KAFKA, POSTGRES)),
        Check("raw_archive", partial(progress.raw_archive, settings), (KAFKA, STORE)),
        Check("price_history", partial(progress.price_history, settings), (KAFKA, STORE)),
        Check("prices", partial(feeds.prices, settings), (POSTGRES,)),
        Check("readable items", partial(feeds.unreadable, settings), (POSTGRES,)),
        Check("dead letters", partial(feeds.dead_letters, settings), (POSTGRES,)),
        Check("interruptions", partial(feeds.interruptions, settings), (POSTGRES,)),
    ]


def results(target: Target) -> Iterator[Result]:
    """Run the checks one after the other. If neither a stack nor a service is up, check the ports last."""
    unavailable: set[str] = set()
    for check in checks(target):
        if missing := [each for each in check.needs if each in unavailable]:
            yield Result(check.title, [], missing[0])
            continue
        found = [*_findings(check)]
        if found:
            unavailable.add(check.title)
        yield Result(check.title, found)
    if target.stack is None and {KAFKA, STORE, POSTGRES} <= unavailable:
        ports = Check("ports", partial(machine.busy_ports, target.settings))
        yield Result(ports.title, [*_findings(ports)])


def _findings(check: Check) -> Iterator[Finding]:
    try:
        yield from check.findings()
    except ERRORS as error:
        reason = " ".join(str(error).split())
        yield Finding(
            f"could not be checked: {type(error).__name__}: {reason}",
            "other findings may name the cause; otherwise see the service's log",
        )


def lines(result: Result) -> Iterator[str]:
    """Yield the lines of a result, aligned."""
    if result.missing:
        yield f"{'-':<6} {result.title:<{WIDTH}} not checked: see {result.missing}"
    elif not result.findings:
        yield f"{'ok':<6} {result.title}"
    for finding in result.findings:
        yield f"{'wrong':<6} {result.title:<{WIDTH}} {finding.problem}"
        yield f"{'':<6} {'':<{WIDTH}} -> {finding.remedy}"
