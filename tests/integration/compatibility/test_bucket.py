"""Use the bucket of earlier versions: jobs resume `raw/` and `tickers/`, and `landing/` is played."""

import gzip
import itertools
import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from psycopg2.extensions import connection
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from infra.replay.recording.landing import landing_at
from infra.replay.recording.recording import Recording
from infra.services import object_store
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from tests.compatibility.kept import Record, Version, next_offsets
from tests.compatibility.records import as_read, items_in, newest_record, rows_by_messages
from tests.support.archive import TOPIC_ID
from tests.support.frames import records
from tests.support.lake import archived, archived_records, ticker_rows
from tests.support.recordings import received
from tests.support.replay_exchange import running
from tests.support.small_exchange import subscribed


def upload(settings: Settings, version: Version, prefix: str) -> None:
    store = object_store.client(settings)
    objects = version.objects(prefix)
    assert objects
    for key, content in objects.items():
        store.put_object(Bucket=settings.s3_bucket, Key=key, Body=content)


def test_the_archive_is_read_and_resumed(
    spark: SparkSession, version: Version, lake: Settings
) -> None:
    upload(lake, version, "raw")
    old = version.records(EXCHANGE_OF_TOPIC)
    assert archived(lake, "raw") == archived_rows(old)
    assert sorted(map(record_of, archived_records(lake, "raw"))) == sorted(old)

    archive = Archive(spark, lake_root(lake))
    ends = next_offsets(old)
    # Version 0.1.0 did not store topic ids.
    assert archive.resume(list(ends), dict.fromkeys(EXCHANGE_OF_TOPIC, TOPIC_ID)) == ends
    new = newest_record(ends)
    archive.write(records(spark, *as_read([*old, new])).coalesce(1), 0)

    assert archived(lake, "raw") == archived_rows([*old, new])


def archived_rows(old: Iterable[Record]) -> list[tuple[Any, ...]]:
    return sorted((*record.place, record.value, record.key) for record in old)


def record_of(row: dict[str, Any]) -> Record:
    return Record(
        row["topic"],
        row["partition"],
        row["offset"],
        # Spark writes UTC, but Arrow returns the time without a zone.
        round(row["timestamp"].replace(tzinfo=UTC).timestamp() * 1e3),
        row["key"],
        [(header["key"], header["value"]) for header in row["headers"]],
        row["value"],
    )


def test_the_table_of_tickers_is_read_and_resumed(
    spark: SparkSession, version: Version, lake: Settings, kept: connection
) -> None:
    upload(lake, version, "tickers")
    old = version.records(EXCHANGE_OF_TOPIC)
    readable = readable_places(old, kept)
    found = {place_of(row): row for row in ticker_rows(lake)}
    assert sorted(found) == readable
    for row in prices_of(kept):
        assert {name: found[place_of(row)][name] for name in row} == row

    ends = next_offsets(old)
    new = newest_record(ends)
    after = ends | next_offsets([new])
    table = TickerTable(spark, lake_root(lake), lambda: after, lake.tickers_retention_days)
    assert table.resume({}) == ends
    table.write(records(spark, *as_read([*old, new])).coalesce(1), 0)

    assert sorted(map(place_of, ticker_rows(lake))) == sorted([*readable, (*new.place, 0)])


def place_of(row: dict[str, Any]) -> tuple[str, int, int, int]:
    return row["topic"], row["partition"], row["offset"], row["position"]


def readable_places(old: Iterable[Record], database: connection) -> list[tuple[str, int, int, int]]:
    """Return topic, partition, offset and position of each item that is not a dead letter."""
    dead = {
        place_of(letter)
        for letter in rows_by_messages(database, "dead_letters")
        if letter["topic"] in EXCHANGE_OF_TOPIC
    }
    unread = {place[:3] for place in dead if place[3] == -1}
    return sorted(
        place
        for record in old
        if record.place not in unread
        for position in range(len(json.loads(record.value or b"")))
        if (place := (*record.place, position)) not in dead
    )


def prices_of(database: connection) -> list[dict[str, Any]]:
    with database.cursor() as statements:
        statements.execute("SELECT * FROM live_prices")
        names = [column.name for column in statements.description or ()]
        found = [dict(zip(names, row, strict=True)) for row in statements.fetchall()]
    assert found
    return [{name: row[name] for name in row if name != "batch_id"} for row in found]


def test_landing_is_played_as_it_was_received(version: Version, lake: Settings) -> None:
    upload(lake, version, "landing")
    for exchange, topic in TOPIC_OF_EXCHANGE.items():
        lines = landing_lines(version, exchange)
        in_topic = items_in(version.records([topic]))
        assert lines
        assert [line for line in lines if json.loads(line) not in in_topic] == []
        frames = frames_of(exchange, lines)
        landing = landing_at(f"s3://{lake.s3_bucket}/landing", lake)
        with (
            running(*Recording(landing=landing, speed=1000).exchanges()) as address,
            subscribed(address, exchange) as client,
        ):
            assert received(client, len(frames)) == frames


def landing_lines(version: Version, exchange: str) -> list[str]:
    return [
        line
        for content in version.objects(f"landing/{exchange}").values()
        for line in gzip.decompress(content).decode().split("\n")
        if line
    ]


def frames_of(exchange: str, lines: Sequence[str]) -> list[str]:
    """Return the frames as sent. Adjacent Binance items with one `received_at` were one array."""
    if exchange == "kucoin":
        return [sent(line) for line in lines]
    return [
        f"[{','.join(map(sent, group))}]"
        for _received_at, group in itertools.groupby(
            lines, key=lambda line: json.loads(line)["received_at"]
        )
    ]


def sent(line: str) -> str:
    """Return the item without `received_at`, or the original text if it could not be read."""
    unreadable: str | None = json.loads(line).get("unreadable")
    return unreadable or re.sub(r',"received_at":\d+}$', "}", line)
