"""Wait until the server serves prices of each exchange, or report the part that did not come up."""

import subprocess
import time
from collections.abc import Iterable

import psycopg2
import requests
from confluent_kafka import Consumer, KafkaException, TopicPartition

from core.kafka_client import client_configuration
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra import supervision
from infra.stack import Stack, StackError

DEADLINE = 180.0

FRESH = 10.0
"""Maximum age of a price, in seconds. A live job that has just started lags by its first batches."""


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
    """Return the exchanges whose prices were received after `since`, in seconds since the epoch."""
    address = f"http://{settings.server_host}:{settings.server_port}/api/prices"
    key = {"X-API-Key": settings.server_api_key} if settings.server_api_key else None
    try:
        response = requests.get(address, headers=key, timeout=5)
        response.raise_for_status()
    except requests.RequestException:
        return set()
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(since))
    return {p["exchange"] for p in response.json()["prices"] if p["received_at"] >= moment}


def diagnosis(stack: Stack, exchanges: list[str]) -> str:
    """Return a message with the first stage of the pipeline without output, and the end of its log."""
    part = _part_without_output(stack, exchanges)
    log = stack.log_folder / f"{part}.log"
    tail = subprocess.run(
        ["tail", "-n", "20", str(log)], capture_output=True, text=True, check=False
    )
    missing = " and ".join(exchanges)
    return (
        f"no prices of {missing} after {DEADLINE:.0f} s. The part that did not come up: {part}. "
        f"The end of {log}:\n{tail.stdout}"
    )


def _part_without_output(stack: Stack, exchanges: list[str]) -> str:
    for program in supervision.programs(stack):
        if program["statename"] in ("BACKOFF", "EXITED", "FATAL"):
            return str(program["name"])
    for exchange in exchanges:
        if not _messages(stack.settings, TOPIC_OF_EXCHANGE[exchange]):
            return exchange
        if not _rows(stack.settings, exchange):
            return "jobs"
    return "server"


def _messages(settings: Settings, topic: str) -> int:
    consumer = Consumer({**client_configuration(settings), "group.id": "first-prices"})
    try:
        partitions = consumer.list_topics(topic, timeout=5).topics[topic].partitions
        offsets = [
            consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5)
            for partition in partitions
        ]
    except KafkaException:
        return 0
    finally:
        consumer.close()
    return sum(high - low for low, high in offsets)


def _rows(settings: Settings, exchange: str) -> int:
    database = psycopg2.connect(settings.reader_database_url)
    try:
        with database.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM live_prices WHERE exchange = %s", (exchange,))
            (rows,) = cursor.fetchone() or (0,)
            return int(rows)
    finally:
        database.close()
