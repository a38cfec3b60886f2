"""Wait until the server serves prices of each exchange, or report the part that did not come up."""

import subprocess
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

import psycopg2
import requests
from confluent_kafka import KafkaException

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from exchanges import EXCHANGE
from infra import supervision
from infra.addresses import reachable_address
from infra.monitoring import monitor
from infra.stack import Stack, StackError
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.partitions import kept_offsets, offsets_at

DEADLINE = 180.0

FRESH = 10.0
"""Maximum age of a price, in seconds. A live job that has just started lags by its first batches."""


RECEIVED = """
SELECT EXISTS (SELECT FROM live_prices WHERE exchange = %s AND received_at >= to_timestamp(%s))
"""


def wait(stack: Stack, exchanges: Iterable[str]) -> None:
    """Return when the server has prices of each exchange that were received less than 10 s ago.

    Raise StackError after three minutes; it names the first stage of the pipeline without output.
    """
    waiting = set(exchanges)
    began = time.time()
    end = time.monotonic() + DEADLINE
    while waiting:
        for exchange in sorted(waiting & served(stack.settings, since=time.time() - FRESH)):
            print(f"{exchange}: first prices served after {time.time() - began:.0f} s")
            waiting.discard(exchange)
        if waiting and time.monotonic() > end:
            raise StackError(diagnosis(stack, sorted(waiting)))
        time.sleep(0.5)


def served(settings: Settings, since: float) -> set[str]:
    """Return the exchanges with a price that was received at `since` or later, in seconds since the epoch."""
    address = reachable_address(settings.server_host, settings.server_port)
    key = {"X-API-Key": settings.server_api_key} if settings.server_api_key else None
    try:
        response = requests.get(f"http://{address}/api/prices", headers=key, timeout=5)
        response.raise_for_status()
    except requests.RequestException:
        return set()
    moment = datetime.fromtimestamp(since, UTC)
    return {
        price["exchange"]
        for price in response.json()["prices"]
        if datetime.fromisoformat(price["received_at"]) >= moment
    }


def diagnosis(stack: Stack, exchanges: list[str], deadline: float = DEADLINE) -> str:
    """Return a message with the first stage of the pipeline without output, and the end of its log."""
    part = _part_without_output(stack, exchanges)
    log = stack.log_folder / f"{part}.log"
    tail = subprocess.run(
        ["tail", "-n", "20", str(log)], capture_output=True, text=True, check=False
    )
    missing = " and ".join(exchanges)
    return (
        f"no prices of {missing} after {deadline:.0f} s. The part that did not come up: {part}. "
        f"The end of {log}:\n{tail.stdout}"
    )


def _part_without_output(stack: Stack, exchanges: list[str]) -> str:
    for program in supervision.programs(stack):
        name = str(program["name"])
        # An extractor that is not waited for, or a program of the monitoring, is not the reason.
        is_concerned = name in exchanges or name not in (*EXCHANGE, *monitor.PROGRAMS)
        if is_concerned and program["statename"] in supervision.FAILED:
            return name
    # A stack that was stopped has messages and prices of its last run.
    since = time.time() - DEADLINE
    for exchange in exchanges:
        if not has_messages(stack.settings, TOPIC_OF_EXCHANGE[exchange], since):
            return exchange
        if not has_prices(stack.settings, exchange, since):
            return "jobs"
    return "server"


def has_messages(settings: Settings, topic: str, since: float) -> bool:
    """Return whether Kafka answers and has stamped a message at `since` or later."""
    try:
        kept = kept_offsets(settings, [topic])
        firsts = offsets_at(settings, kept, datetime.fromtimestamp(since, UTC))
    except (KafkaException, JobError):
        return False
    return any(firsts[partition] < end for partition, (_oldest, end) in kept.items())


def has_prices(settings: Settings, exchange: str, since: float) -> bool:
    """Return whether Postgres answers and has a price that was received at `since` or later."""
    try:
        database = psycopg2.connect(settings.reader_database_url)
    except psycopg2.OperationalError:
        return False
    with closing(database), database.cursor() as statements:
        statements.execute(RECEIVED, (exchange, since))
        return statements.fetchone() == (True,)
