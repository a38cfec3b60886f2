"""The records of the raw topics, each once: out of Kafka what it still holds, and before that out of `raw/`.

Kafka keeps RAW_TOPIC_DAYS, `raw/` keeps RAW_RETENTION_DAYS. Each call of `records` asks Kafka anew what it
holds: a run of hours that reads in steps goes on while Kafka deletes records. No gap is passed over in
silence: `unbroken` says from which offsets on nothing is missing, and `holes` what is.
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
from spark_jobs.kafka_source.offset_ranges import Span, holes, unbroken_from
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.kafka_source.partitions import kept_offsets, offsets_at, starting_offset
from spark_jobs.kafka_source.records import kept_records
from spark_jobs.kafka_source.time_span import TimeSpan
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.raw.objects import RawFolders, RawObject
from spark_jobs.lake.raw.records import RawRecords


class StoreError(JobError):
    """The object store does not say what it holds."""


class HistoryError(JobError):
    """`raw/` lacks records that the names of its objects promise."""


class Hole(NamedTuple):
    """Offsets from `first` up to, not including, `end`, that are neither in Kafka nor in `raw/`."""

    topic: str
    partition: int
    first: int
    end: int
    hour: datetime
    """Hour of the object before the hole."""


class History:
    """What Kafka and some of the archive's objects hold together."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        objects: Iterable[RawObject] = (),
        replaced: Collection[str] = (),
    ) -> None:
        """`replaced` names topics that were created again: `raw/` also has records of the former ones."""
        self._spark = spark
        self._settings = settings
        self.raw = RawRecords(spark, raw_root(settings), objects)
        self.replaced = replaced

    def kept(self) -> dict[tuple[str, int], Span]:
        """Return the oldest offset of each partition that Kafka holds now, and the one after its newest."""
        return kept_offsets(self._settings, EXCHANGE_OF_TOPIC)

    def refuse_beyond(self, progress: Offsets) -> None:
        """Raise OffsetError for a partition that ends in Kafka before the progress.

        What has expired in Kafka is no fault: `raw/` may hold it.
        """
        for place, (_low, high) in self.kept().items():
            starting_offset(*place, progress.get(place), low=0, high=high)

    def offsets_between(self, span: TimeSpan) -> tuple[Offsets, Offsets]:
        """Return the first offsets of what Kafka stamped within a span of time, and those after the last."""
        kept = self.kept()
        firsts = offsets_at(self._settings, kept, span.since)
        afters = offsets_at(self._settings, kept, span.until)
        archived = self.raw.stamped_within(span)
        begins: dict[tuple[str, int], int] = {}
        ends: dict[tuple[str, int], int] = {}
        for place, (low, _high) in kept.items():
            first, after = archived.get(place, (low, low))
            # A span that has Kafka's oldest record begins with it or before it.
            begins[place] = min(first, low) if firsts[place] == low else firsts[place]
            # A span that ends before Kafka's oldest record ends in raw/.
            ends[place] = min(after, low) if afters[place] == low else afters[place]
        return begins, ends

    def unbroken(self, begins: Offsets, ends: Offsets) -> dict[tuple[str, int], int]:
        """Return the lowest offset of each partition from which on nothing is missing up to its end.

        Not lower than `begins`. Where no end is, the oldest offset that Kafka holds.
        """
        found = {}
        for place, (low, _high) in self.kept().items():
            archived = self.raw.ranges.get(place, [])
            oldest = unbroken_from(archived, min(ends.get(place, low), low))
            found[place] = max(oldest, begins.get(place, 0))
        return found

    def holes(self, begins: Offsets, ends: Offsets) -> list[Hole]:
        """Return what is missing behind the oldest object; only what ends beyond `begins`."""
        return [
            Hole(*place, first, end, self._hour_before(*place, first))
            for place, (low, _high) in sorted(self.kept().items())
            for first, end in holes(self.raw.ranges.get(place, []), min(ends.get(place, low), low))
            if end > begins.get(place, 0)
        ]

    def _hour_before(self, topic: str, partition: int, offset: int) -> datetime:
        """The hour of the object whose last record is the one before the offset."""
        return max(
            each.hour
            for each in self.raw.objects
            if each.topic == topic and each.ranges.get(partition, (0, -1))[1] == offset - 1
        )

    def records(self, begins: Offsets, ends: Offsets) -> DataFrame:
        """Return schemas.RECORD from `begins` up to, not including, `ends`, each record once.

        A partition without a begin or an end is left out.
        """
        starting: dict[tuple[str, int], int] = {}
        in_kafka: dict[tuple[str, int], int] = {}
        from_raw: dict[tuple[str, int], int] = {}
        in_raw: dict[tuple[str, int], int] = {}
        for place, (oldest, _high) in self.kept().items():
            is_read = place in begins and place in ends
            begin, end = (begins[place], ends[place]) if is_read else (oldest, oldest)
            starting[place] = max(begin, oldest)
            in_kafka[place] = max(begin, oldest, end)
            from_raw[place], in_raw[place] = begin, max(begin, min(end, oldest))
        records = kept_records(self._spark, self._settings, starting, in_kafka)
        older = self.raw.each_once(from_raw, in_raw)
        return records if older is None else older.unionByName(records)

    def all_records(self, begins: Offsets, ends: Offsets) -> DataFrame:
        """Return the same. Raise HistoryError where some of them are in neither Kafka nor `raw/` by now."""
        records = self.records(begins, ends)
        for place, first in self.unbroken(begins, ends).items():
            begin = begins.get(place, first)
            if begin < min(first, ends.get(place, 0)):
                topic, partition = place
                raise HistoryError(
                    f"{topic}/{partition}: Kafka has deleted offsets {begin} to {first - 1} meanwhile, and "
                    "raw/ does not hold them. Nothing was changed; start again to read what is left"
                )
        return records

    def refuse_incomplete(self, begins: Offsets, ends: Offsets) -> None:
        """Raise HistoryError where raw/ lacks records before Kafka's oldest that a name promises.

        Only the offsets are read.
        """
        kept = self.kept()
        limits = {place: min(end, kept[place][0]) for place, end in ends.items() if place in kept}
        records = self.raw.as_often_as_there(begins, limits)
        if records is None:
            return
        counted = records.groupBy("topic", "partition").agg(F.count_distinct("offset").alias("n"))
        found = {(row["topic"], row["partition"]): row["n"] for row in counted.collect()}
        for (topic, partition), end in limits.items():
            begin, count = begins[topic, partition], found.get((topic, partition), 0)
            if count < end - begin:
                raise HistoryError(
                    f"raw/ has {count} of the {end - begin} records of {topic}/{partition} from offset "
                    f"{begin} to {end - 1}. Nothing was changed. make audit says which minutes lack some"
                )


def all_history(spark: SparkSession, settings: Settings) -> History:
    """Return the history of everything. Raise StoreError without the object store."""
    return _history(spark, settings, RawFolders.objects)


def history_of(spark: SparkSession, settings: Settings, span: TimeSpan) -> History:
    """Return the history of what Kafka stamped within a span of time. Raise StoreError as above.

    Only the folders of its hours are listed, and the newest, whose names say how far the archive is.
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
    with store_explained(settings):
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
    """Return a topic's folders, and the id of the topic that Kafka has now."""
    storage = HadoopFiles(spark, lake_root(settings))
    return RawFolders(storage, raw_root(settings), topic), topic_ids(settings, [topic]).get(topic)


def raw_root(settings: Settings) -> str:
    return f"{lake_root(settings)}/raw"


@contextmanager
def store_explained(settings: Settings) -> Iterator[None]:
    """Raise StoreError where the object store refuses or does not answer."""
    try:
        yield
    except Py4JJavaError as error:
        reason = str(error.java_exception.getMessage()).splitlines()[0]
        raise StoreError(f"S3, S3_ENDPOINT_URL={settings.s3_endpoint_url}: {reason}") from error
