"""Count the exchanges' items in each part of a stack, while it drains and afterwards."""

import gzip
from array import array
from collections.abc import Mapping
from contextlib import closing

import duckdb
import numpy as np
import orjson
import psycopg2
import pyarrow.compute as pc
from deltalake import DeltaTable

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from infra.services import object_store
from infra.services.object_store import storage_options
from spark_jobs.kafka_source.offsets import Offsets
from tests.soak.record import Flow
from tests.soak.sent import Hashes, Written, everything, surely_received
from tests.support.kafka import all_messages
from tests.support.lake import archive_dataset
from tests.support.ledger import identities
from tests.support.postgres import rows

DEAD_LETTERS = """
SELECT topic, sum(letters)::bigint FROM dead_letter_spans WHERE topic = ANY (%s) GROUP BY 1
"""

PROGRESS = "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic = ANY (%s)"

# See spark_jobs/tickers/reading.py.
TICKERS = """
SELECT coalesce(sum((found -> 'tickers')::bigint), 0)::bigint
FROM batches, jsonb_each(reading) AS read (exchange, found)
"""
NO_PRICE = """
SELECT exchange, sum((seen -> 'count')::bigint)::bigint
FROM batches, jsonb_each(reading) AS read (exchange, found),
    jsonb_each(found -> 'unread') AS unread (cause, seen)
WHERE starts_with(cause, 'price ')
GROUP BY 1
"""


def items_in_kafka(settings: Settings) -> tuple[dict[str, Hashes], dict[str, int]]:
    """Return the items of each exchange, and the number of its messages."""
    found = {exchange: array("q") for exchange in TOPIC_OF_EXCHANGE}
    messages = dict.fromkeys(TOPIC_OF_EXCHANGE, 0)
    for message in all_messages(settings):
        exchange = EXCHANGE_OF_TOPIC[message["topic"]]
        found[exchange].extend(map(hash, identities(orjson.loads(message["value"]))))
        messages[exchange] += 1
    return {each: np.frombuffer(items, np.int64) for each, items in found.items()}, messages


def items_in_landing(settings: Settings, exchange: str) -> int:
    store = object_store.client(settings, attempts=5)
    pages = store.get_paginator("list_objects_v2").paginate(
        Bucket=settings.s3_bucket, Prefix=f"landing/{exchange}/"
    )
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    bodies = (store.get_object(Bucket=settings.s3_bucket, Key=key)["Body"].read() for key in keys)
    return sum(len(gzip.decompress(body).splitlines()) for body in bodies)


def messages_in_raw(settings: Settings) -> dict[str, int]:
    """Return the number of records of each exchange."""
    records = archive_dataset(settings, "raw")
    if records is None:
        return {}
    return {
        exchange: records.count_rows(filter=pc.field("topic") == topic)
        for topic, exchange in EXCHANGE_OF_TOPIC.items()
    }


def rows_in_tickers(settings: Settings) -> dict[str, int]:
    """Return the number of tickers of each exchange."""
    path, options = f"s3://{settings.s3_bucket}/tickers", storage_options(settings)
    if not DeltaTable.is_deltatable(path, options):
        return {}
    table = DeltaTable(path, storage_options=options).to_pyarrow_dataset()
    with duckdb.connect() as lake:
        lake.register("tickers", table)
        return dict(lake.execute("SELECT exchange, count(*) FROM tickers GROUP BY 1").fetchall())


def progress(settings: Settings) -> Offsets:
    """Return the next offset of each partition as recorded in Postgres."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        found = rows(database, PROGRESS, list(EXCHANGE_OF_TOPIC))
    return {(topic, partition): offset for topic, partition, offset in found if offset}


def tickers_in_postgres(settings: Settings) -> int:
    """Return how many tickers Postgres has recorded, including those that were not the newest."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        ((count,),) = rows(database, TICKERS)
        return int(count)


def not_in_tickers(settings: Settings) -> tuple[dict[str, int], dict[str, int]]:
    """Return the dead letters of each exchange, and its items without a price."""
    with closing(psycopg2.connect(settings.database_url)) as database:
        letters = {
            EXCHANGE_OF_TOPIC[topic]: int(count)
            for topic, count in rows(database, DEAD_LETTERS, list(EXCHANGE_OF_TOPIC))
        }
        return letters, dict(rows(database, NO_PRICE))


def flows(settings: Settings, sent: Mapping[str, list[Written]]) -> list[Flow]:
    """Count the items of each exchange, and compare what it sent with what Kafka has."""
    found, messages = items_in_kafka(settings)
    raw, tickers = messages_in_raw(settings), rows_in_tickers(settings)
    dead_letters, no_price = not_in_tickers(settings)
    return [
        Flow(
            exchange=exchange,
            connections=len(connections),
            sent=sum(len(each.items) for each in connections),
            sure=len(sure := surely_received(connections)),
            missing=len(np.setdiff1d(sure, found[exchange])),
            made_up=len(np.setdiff1d(found[exchange], everything(connections))),
            items=len(found[exchange]),
            messages=messages[exchange],
            landing=items_in_landing(settings, exchange),
            raw=raw.get(exchange, 0),
            tickers=tickers.get(exchange, 0),
            dead_letters=dead_letters.get(exchange, 0),
            no_price=no_price.get(exchange, 0),
        )
        for exchange, connections in sent.items()
    ]
