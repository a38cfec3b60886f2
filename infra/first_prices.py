"""Waits until prices of each exchange come out of the server; else names the part that did not come up."""

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
"""Seconds. A live job that has just started is behind by its first batches, and soon catches up."""


def wait(stack: Stack, exchanges: Iterable[str]) -> None:
    """Returns when the server gives prices of each exchange that came less than 10 s ago.

    Raises StackError after three minutes, with the first part of the data's way that gave nothing.
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
    """The exchanges of which the server has prices received since then, in seconds since the epoch."""
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
    """Which part gave nothing, in the order of the data's way, and the end of its log."""
    part = _part_that_gave_nothing(stack, exchanges)
    log = stack.log_folder / f"{part}.log"
    tail = subprocess.run(
        ["tail", "-n", "20", str(log)], capture_output=True, text=True, check=False
    )
    missing = " and ".join(exchanges)
    return (
        f"no prices of {missing} after {DEADLINE:.0f} s. The part that did not come up: {part}. "
        f"The end of {log}:\n{tail.stdout}"
    )


def _part_that_gave_nothing(stack: Stack, exchanges: list[str]) -> str:
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
