"""Read the records of the raw topics, each once: from Kafka if it still has them, otherwise from `raw/`.

Kafka keeps RAW_TOPIC_DAYS, `raw/` keeps RAW_RETENTION_DAYS. Each call of `records` asks Kafka which
offsets it has now, so a program that reads in steps for hours can continue while Kafka deletes records.
No gap is hidden: `unbroken` returns the offsets from which nothing is missing, and `gaps` what is
missing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.errors import JobError
from spark_jobs.kafka_source.offset_ranges import Span, gaps, start_without_gaps
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import kept_offsets, offsets_at, starting_offset
from spark_jobs.kafka_source.records import kept_records
from spark_jobs.kafka_source.time_span import TimeSpan
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.objects import DAY, RawFolders, RawObject
from spark_jobs.lake.raw.records import RawRecords


class StoreError(JobError):
    """The object store is unavailable, or refuses a request."""


class HistoryError(JobError):
    """Records are missing: neither Kafka nor `raw/` has them."""


class Hole(NamedTuple):
    """Offsets in [`first`, `end`) that are neither in Kafka nor in `raw/`."""

    topic: str
    partition: int
    first: int
    end: int
    hour: datetime
    """Hour of the object before the hole."""


class History:
    """The records in Kafka and in a list of the archive's objects."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        objects: Iterable[RawObject] = (),
        replaced: Collection[str] = (),
    ) -> None:
        """`replaced` are topics that were created again: `raw/` also has records of the former ones."""
        self._spark = spark
        self._settings = settings
        self.raw = RawRecords(spark, raw_root(settings), objects)
        self.replaced = replaced

    def kept(self) -> dict[tuple[str, int], Span]:
        """Return, per partition, the oldest offset that Kafka has now, and the one after its newest."""
        return kept_offsets(self._settings, EXCHANGE_OF_TOPIC)

    def raise_if_beyond_kafka(self, progress: Offsets) -> None:
        """Raise OffsetError for a partition that ends in Kafka before the progress.

        Records that have expired in Kafka are no error: `raw/` may have them.
        """
        for topic_partition, (_low, high) in self.kept().items():
            starting_offset(*topic_partition, progress.get(topic_partition), low=0, high=high)

    def ends_after(self, progress: Offsets) -> dict[tuple[str, int], int]:
        """Return the offset of each partition at which a rebuild ends.

        Raise OffsetError if Kafka ends before the progress.
        """
        self.raise_if_beyond_kafka(progress)
        return {
            partition: end_after(progress.get(partition), low, high)
            for partition, (low, high) in self.kept().items()
        }

    def offsets_between(self, span: TimeSpan) -> tuple[Offsets, Offsets]:
        """Return the first offsets that Kafka stamped in a span of time, and those after the last."""
        kept = self.kept()
        firsts = offsets_at(self._settings, kept, span.since)
        afters = offsets_at(self._settings, kept, span.until)
        archived = self.raw.stamped_within(span)
        begins: dict[tuple[str, int], int] = {}
        ends: dict[tuple[str, int], int] = {}
        for topic_partition, (low, _high) in kept.items():
            first, after = archived.get(topic_partition, (low, low))
            # If the span begins no later than Kafka's oldest record, it begins there or in raw/.
            begins[topic_partition] = (
                min(first, low) if firsts[topic_partition] == low else firsts[topic_partition]
            )
            # If the span ends before Kafka's oldest record, it ends in raw/.
            ends[topic_partition] = (
                min(after, low) if afters[topic_partition] == low else afters[topic_partition]
            )
        return begins, ends

    def unbroken(self, begins: Offsets, ends: Offsets) -> dict[tuple[str, int], int]:
        """Return, per partition, the lowest offset from which nothing is missing up to its end.

        It is at least that of `begins`. The default of an end is the oldest offset that Kafka has.
        """
        found = {}
        for topic_partition, (low, _high) in self.kept().items():
            archived = self.raw.ranges.get(topic_partition, [])
            oldest = start_without_gaps(archived, min(ends.get(topic_partition, low), low))
            found[topic_partition] = max(oldest, begins.get(topic_partition, 0))
        return found

    def gaps(self, begins: Offsets, ends: Offsets) -> list[Hole]:
        """Return the gaps after the first record of the oldest object, if they end beyond `begins`."""
        return [
            Hole(*topic_partition, first, end, self._hour_before(*topic_partition, first))
            for topic_partition, (low, _high) in sorted(self.kept().items())
            for first, end in gaps(
                self.raw.ranges.get(topic_partition, []), min(ends.get(topic_partition, low), low)
            )
            if end > begins.get(topic_partition, 0)
        ]

    def _hour_before(self, topic: str, partition: int, offset: int) -> datetime:
        """Return the hour of the object that ends directly before the offset."""
        return max(
            each.hour
            for each in self.raw.objects
            if each.topic == topic and each.ranges.get(partition, (0, -1))[1] == offset - 1
        )

    def records(self, begins: Offsets, ends: Offsets) -> DataFrame:
        """Return the records in [`begins`, `ends`), each once, with schemas.RECORD.

        Partitions without a begin or an end are left out. Each source is read by as many tasks as there are
        cores, so a step has few files and no core waits for another.
        """
        kafka_begins: dict[tuple[str, int], int] = {}
        kafka_ends: dict[tuple[str, int], int] = {}
        raw_begins: dict[tuple[str, int], int] = {}
        raw_ends: dict[tuple[str, int], int] = {}
        for topic_partition, (oldest, _high) in self.kept().items():
            is_read = topic_partition in begins and topic_partition in ends
            begin, end = (
                (begins[topic_partition], ends[topic_partition]) if is_read else (oldest, oldest)
            )
            kafka_begins[topic_partition] = max(begin, oldest)
            kafka_ends[topic_partition] = max(begin, oldest, end)
            raw_begins[topic_partition] = begin
            raw_ends[topic_partition] = max(begin, min(end, oldest))
        newer = kept_records(self._spark, self._settings, kafka_begins, kafka_ends)
        older = self.raw.without_duplicates(raw_begins, raw_ends)
        if older is None:
            return newer
        return older if kafka_begins == kafka_ends else older.unionByName(newer)

    def all_records(self, begins: Offsets, ends: Offsets) -> DataFrame:
        """Return the same records. Raise HistoryError if neither Kafka nor `raw/` has some of them."""
        records = self.records(begins, ends)
        for topic_partition, first in self.unbroken(begins, ends).items():
            begin = begins.get(topic_partition, first)
            if begin < min(first, ends.get(topic_partition, 0)):
                topic, partition = topic_partition
                raise HistoryError(
                    f"{topic}/{partition}: Kafka has deleted offsets {begin} to {first - 1} meanwhile, and "
                    "raw/ lacked some of them. Nothing was changed; start again to read what is left"
                )
        return records

    def refuse_incomplete(self, begins: Offsets, ends: Offsets) -> None:
        """Raise HistoryError if raw/ lacks records before Kafka's oldest that the objects' names list.

        Of the objects, only the columns `partition` and `offset` are read.
        """
        kept = self.kept()
        limits = {
            topic_partition: min(end, kept[topic_partition][0])
            for topic_partition, end in ends.items()
            if topic_partition in kept
        }
        records = self.raw.with_duplicates(begins, limits)
        if records is None:
            return
        counted = records.groupBy("topic", "partition").agg(F.count_distinct("offset").alias("n"))
        found = {(row["topic"], row["partition"]): row["n"] for row in counted.collect()}
        for (topic, partition), end in limits.items():
            begin, count = begins[topic, partition], found.get((topic, partition), 0)
            if count < end - begin:
                raise HistoryError(
                    f"raw/ has {count} of the {end - begin} records of {topic}/{partition} from offset "
                    f"{begin} to {end - 1}. Nothing was changed. make audit lists the minutes that lack some"
                )


def end_after(next_offset: int | None, low: int, high: int) -> int:
    """Return the offset of a partition at which a rebuild ends: the progress, as the jobs resume there.

    If nothing was read yet or the progress has expired, it is Kafka's end. Kafka's oldest offset would
    expire during a long rebuild, and the jobs could not start.
    """
    return high if next_offset is None or next_offset < low else next_offset


def all_history(spark: SparkSession, settings: Settings, since: datetime | None = None) -> History:
    """Return the whole history, or the part that begins with the hour of `since`.

    Raise StoreError if the store is unavailable.
    """
    return _history(spark, settings, lambda folders: folders.objects(since))


def lasting_since(settings: Settings, now: datetime) -> datetime:
    """Return the time since which all objects of `raw/` last for another day.

    The bucket's rule deletes older ones one by one, even while they are read.
    """
    return now - (settings.raw_retention_days - 1) * DAY


def history_of(spark: SparkSession, settings: Settings, span: TimeSpan) -> History:
    """Return the history of a span of Kafka's timestamps. Raise StoreError as all_history does.

    Only the folders of its hours are listed, and the newest folder, whose names have the archive's
    progress.
    """

    def objects(folders: RawFolders) -> Iterable[RawObject]:
        found = [*folders.objects(*span), *folders.newest()]
        return {each.path: each for each in found}.values()

    return _history(spark, settings, objects)


def _history(
    spark: SparkSession,
    settings: Settings,
    objects: Callable[[RawFolders], Iterable[RawObject]],
) -> History:
    found: list[RawObject] = []
    replaced: set[str] = set()
    with store_errors_converted(settings):
        for topic in EXCHANGE_OF_TOPIC:
            folders, topic_id = raw_folders(spark, settings, topic)
            of_topic = [*objects(folders)]
            own = folders.own(of_topic, topic_id)
            if len(own) < len(of_topic):
                replaced.add(topic)
            found += own
    return History(spark, settings, found, replaced)


def raw_folders(
    spark: SparkSession, settings: Settings, topic: str
) -> tuple[RawFolders, str | None]:
    """Return a topic's folders in `raw/`, and its id in Kafka now."""
    storage = HadoopFiles(spark, lake_root(settings))
    return RawFolders(storage, raw_root(settings), topic), topic_ids(settings, [topic]).get(topic)


def raw_root(settings: Settings) -> str:
    return f"{lake_root(settings)}/raw"


@contextmanager
def store_errors_converted(settings: Settings) -> Iterator[None]:
    """Raise StoreError if the object store refuses or does not answer."""
    try:
        yield
    except Py4JJavaError as error:
        reason = str(error.java_exception.getMessage()).splitlines()[0]
        raise StoreError(f"S3, S3_ENDPOINT_URL={settings.s3_endpoint_url}: {reason}") from error
