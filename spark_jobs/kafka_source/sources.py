"""The Kafka source: topics, from the offsets that the sink says."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pyspark.sql import DataFrame, SparkSession

from core.kafka_client import client_configuration, missing_right, spark_options
from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.broker_clock import refuse_producers_clock
from spark_jobs.kafka_source.schemas import RECORD

# Offsets by topic and partition: the next one to read.
Offsets = Mapping[tuple[str, int], int]

# The same as Spark's Kafka source is told: by topic, and by partition as text.
PartitionOffsets = Mapping[str, Mapping[str, int]]

KAFKA_TIMEOUT = 30.0

NOT_AUTHORISED = re.compile(r"Not authorized to access topics: \[(.+?)\]")
"""Words of Kafka's Java client, in the exception of a query."""

NO_RIGHT = KafkaError.TOPIC_AUTHORIZATION_FAILED

# A message holds hundreds of tickers. After an outage prices move on every two seconds on two cores, and the
# driver's memory is bounded. Half as many cost a sixth of the speed: each batch has a price of its own.
RAW_MESSAGES_PER_BATCH = 2000


# Of each partition, for each query, for as long as a partition's consumer lives. A message may be a tenth of
# a megabyte; Kafka's own 500 of 8 partitions would be most of the driver's memory.
MESSAGES_IN_MEMORY = "50"


class OffsetError(JobError):
    """The topic does not hold what comes next. The message says which offset, and what to do."""


class RightError(JobError):
    """The brokers do not let this user read. The message names the missing right."""


def by_topic(offsets: Offsets) -> dict[str, dict[str, int]]:
    """Return offsets as JSON has them: `{"kucoin_raw_data": {"0": 1620, "1": 1614}}`, sorted."""
    found: dict[str, dict[str, int]] = {}
    for (topic, partition), offset in sorted(offsets.items()):
        found.setdefault(topic, {})[str(partition)] = offset
    return found


def offsets_of(topics: PartitionOffsets) -> Offsets:
    """Return the inverse of `by_topic`."""
    return {
        (topic, int(partition)): int(offset)
        for topic, partitions in topics.items()
        for partition, offset in partitions.items()
    }


def kafka_records(
    spark: SparkSession,
    settings: Settings,
    topics: Iterable[str],
    progress: Offsets,
    messages_per_batch: int = RAW_MESSAGES_PER_BATCH,
    seconds_to_fill: int = 0,
) -> DataFrame:
    """A stream of schemas.RECORD that begins where `progress` says, else with the oldest record.

    A batch waits so long for `messages_per_batch` to come, and then takes what there is.
    Raise OffsetError where Kafka does not hold what comes next, ClockError where a raw topic has the
    producers' timestamps.
    """
    starting = starting_offsets(settings, topics, progress)
    refuse_producers_clock(settings, [topic for topic in topics if topic in EXCHANGE_OF_TOPIC])
    fill = {
        "minOffsetsPerTrigger": str(messages_per_batch),
        "maxTriggerDelay": f"{seconds_to_fill}s",
    }
    return (
        spark.readStream.format("kafka")
        .options(**spark_options(settings))
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", json.dumps(starting))
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", str(messages_per_batch))
        .options(**(fill if seconds_to_fill else {}))
        # A batch waits for the slowest fetch, and a fetch for this long when nothing is new.
        .option("kafka.fetch.max.wait.ms", "20")
        .option("kafka.max.poll.records", MESSAGES_IN_MEMORY)
        .load()
        .select(*RECORD.fieldNames())
    )


def kept_records(
    spark: SparkSession, settings: Settings, oldest: PartitionOffsets, ends: Offsets
) -> DataFrame:
    """What is in Kafka now, as schemas.RECORD: from the oldest offsets up to, not including, the ends.

    Nothing of a partition that has no end. Fails when the oldest expire meanwhile.
    """
    ending = {
        topic: {number: ends.get((topic, int(number)), low) for number, low in partitions.items()}
        for topic, partitions in oldest.items()
    }
    return (
        spark.read.format("kafka")
        .options(**spark_options(settings))
        .option("subscribe", ",".join(oldest))
        .option("startingOffsets", json.dumps(oldest))
        .option("endingOffsets", json.dumps(ending))
        .option("includeHeaders", "true")
        .option("kafka.max.poll.records", MESSAGES_IN_MEMORY)
        .load()
        .select(*RECORD.fieldNames())
    )


def starting_offsets(
    settings: Settings, topics: Iterable[str], progress: Offsets
) -> PartitionOffsets:
    """For every partition of the topics: the sink's next offset, or the oldest that is kept."""
    starting: dict[str, dict[str, int]] = {}
    with closing(looking_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                starting[topic] = {
                    str(partition): starting_offset(
                        topic,
                        partition,
                        progress.get((topic, partition)),
                        *consumer.get_watermark_offsets(
                            TopicPartition(topic, partition), timeout=KAFKA_TIMEOUT
                        ),
                    )
                    for partition in partitions_of(consumer, topic)
                }
    return starting


def partitions_of_topics(settings: Settings, topics: Iterable[str]) -> list[tuple[str, int]]:
    """Every partition of the topics. Raises OffsetError for a topic that is not there."""
    found: list[tuple[str, int]] = []
    with closing(looking_consumer(settings)) as consumer:
        for topic in topics:
            with rights_explained(settings, topic):
                found += [(topic, number) for number in partitions_of(consumer, topic)]
    return found


def looking_consumer(settings: Settings) -> Consumer:
    """Only to ask and to look: it joins no group and commits nothing."""
    return Consumer(
        {
            **client_configuration(settings),
            "group.id": "spark_jobs",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
        }
    )


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    metadata = consumer.list_topics(topic, timeout=KAFKA_TIMEOUT).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == NO_RIGHT:
            raise KafkaException(metadata.error)
        raise OffsetError(f"topic {topic}: {metadata.error.str()}. Was it created?")
    return sorted(metadata.partitions)


def raise_if_refused(error: Exception, settings: Settings) -> None:
    """Raise RightError when a query failed because the brokers do not let this user read."""
    if "TopicAuthorizationException" not in str(error):
        return
    named = NOT_AUTHORISED.search(str(error))
    topics = f"topic {named[1]}" if named else "the topics that the query reads"
    raise RightError(f"Kafka: {missing_right(settings, 'Read', topics)}") from error


@contextmanager
def rights_explained(settings: Settings, topic: str) -> Iterator[None]:
    """Raise RightError, which names the missing right, where the brokers refuse for want of one."""
    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != NO_RIGHT:
            raise
        raise RightError(f"Kafka: {missing_right(settings, 'Read', f'topic {topic}')}") from error


def starting_offset(
    topic: str, partition: int, next_offset: int | None, low: int, high: int
) -> int:
    """`low` and `high` are the oldest kept offset and the next one to be written."""
    if next_offset is None:
        return low
    if next_offset > high:
        raise OffsetError(
            f"{topic}/{partition} ends at offset {high}, but {next_offset} was read next: Kafka has lost "
            f"its newest messages. To go on: for live_prices set next_offset in kafka_progress to {high}, "
            "or, if the topic was created again and Kafka is too old for topic ids, delete its rows there; "
            "for the lake see docs/lake.md"
        )
    if next_offset < low:
        raise OffsetError(
            f"{topic}/{partition} begins at offset {low}, but {next_offset} comes next: "
            f"{low - next_offset} messages have expired unread. To go on: for live_prices run make rebuild, "
            f"which reads them from raw/, or to skip them set its next_offset in kafka_progress to {low}; "
            "for the lake see docs/lake.md"
        )
    return next_offset
