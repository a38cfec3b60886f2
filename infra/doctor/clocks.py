"""Compare the clocks of Postgres, the object store and Kafka with this machine's. Nothing is written.

Each answer has the time at which the server made it, which lies between the request and the answer. Kafka
has no request for its time, so the timestamps of its newest records are compared.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime

from confluent_kafka import Message

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from infra.doctor.finding import Finding
from infra.doctor.first_records import first_records
from infra.doctor.tables import connected
from infra.services import object_store
from spark_jobs.kafka_source.partitions import kept_offsets

LIMIT = 2.0
"""Largest difference that is accepted, in seconds. Prices carry their extractor's time."""

REMEDY = "synchronise the clocks of all machines: timedatectl set-ntp true, or chrony"


def difference(asked: float, answered: float, earliest: float, latest: float) -> float:
    """Return by how many seconds, at least, a server's clock is ahead of ours; negative if it is behind.

    The server's time was from `earliest` to `latest` at a moment between `asked` and `answered`.
    """
    if earliest > answered:
        return earliest - answered
    return min(0.0, latest - asked)


def clock_finding(what: str, ahead: float) -> Iterator[Finding]:
    if abs(ahead) > LIMIT:
        direction = "ahead of" if ahead > 0 else "behind"
        yield Finding(
            f"the clock of {what} is {abs(ahead):.1f} s {direction} this machine's", REMEDY
        )


def date_finding(what: str, asked: float, answered: float, date: str | None) -> Iterator[Finding]:
    """Check the clock that wrote an HTTP header `Date`, which has whole seconds."""
    try:
        second = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, OverflowError):
        # Without a date, or with a gateway's malformed one, nothing is known about the clock.
        return
    yield from clock_finding(what, difference(asked, answered, second, second + 1))


def postgres_clock(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        asked = time.time()
        statements.execute("SELECT extract(epoch FROM clock_timestamp())")
        (now,) = statements.fetchone() or (asked,)
    yield from clock_finding("Postgres", difference(asked, time.time(), float(now), float(now)))


def object_store_clock(settings: Settings) -> Iterator[Finding]:
    asked = time.time()
    answer = object_store.client(settings).list_objects_v2(Bucket=settings.s3_bucket, MaxKeys=1)
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    yield from date_finding("the object store", asked, time.time(), date)


def kafka_clock(
    settings: Settings, topics: Iterable[str] = tuple(EXCHANGE_OF_TOPIC)
) -> Iterator[Finding]:
    """Compare the timestamp of each partition's newest record with our clock and with its extractor's."""
    offsets = kept_offsets(settings, topics)
    newest = {partition: high - 1 for partition, (low, high) in offsets.items() if high > low}
    records = [*first_records(settings, newest)]
    stamped = max((_stamped(record) for record in records), default=0.0)
    yield from clock_finding("Kafka", max(0.0, stamped - time.time()))
    ahead = max((_received(record) - _stamped(record) for record in records), default=0.0)
    if ahead > LIMIT:
        yield Finding(f"an extractor's clock is {ahead:.1f} s ahead of Kafka's", REMEDY)


def _stamped(record: Message) -> float:
    return record.timestamp()[1] / 1000


def _received(record: Message) -> float:
    """Return the time of receipt of the last item, in seconds since the epoch; 0 if it can't be read."""
    try:
        return float(json.loads(record.value() or b"")[-1]["received_at"]) / 1e6
    except (ValueError, LookupError, TypeError):
        return 0.0
