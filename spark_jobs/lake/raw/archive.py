"""Archive every Kafka record, unchanged, as parquet on S3; each is in exactly one object.

A batch is first written below `staging/`, and is complete once `_SUCCESS` exists. Then each of its files
is moved into `raw/`, to a name with its offsets and the topic's id:

    raw/topic=kucoin_raw_data/date=2026-11-22/hour=8/0.120-179_1.98-140.ckVJ5ZWORGWAxTTLoYGQ2A.parquet

A batch makes one object per topic, hour, task and eight partitions. A move on S3 is a copy that appears
completely or not at all. After a crash, the next start moves the rest of a complete staged batch, and
deletes an incomplete one. It then resumes after the offsets in the names in `raw/`.

The folder of a record depends on its timestamp, which never changes. So the folders of a batch are
enough to tell whether `raw/` already has its records, even if the broker's clock was changed in the
meantime.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.kafka_source.offsets import Offsets, after_progress
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.kafka_source.topic_ids import TopicIds, refuse_recreated_topics
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.raw.names import (
    LONGEST_NAME,
    Name,
    Ranges,
    former_id,
    next_offsets,
    own_ids,
    path_in_raw,
    staged_place,
)
from spark_jobs.lake.raw.staged_records import STAGED_BY, with_folders, without_records
from spark_jobs.lake.sizes import LakeSizes
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Counts, Sink

MIN_DAYS_LISTED = 2
"""Minimum number of days that a start lists: Kafka's clock may have gone back over midnight."""


class StagedFile(NamedTuple):
    """A staged file. `folder` is its target in `raw/`: kucoin_raw_data/date=2026-11-22/hour=8."""

    path: str
    folder: str
    name: Name

    @property
    def topic(self) -> str:
        return self.folder.partition("/")[0]


class Archive(Sink):
    """Sink for batches of Kafka records below `<root>/raw`.

    Effectively once: records that `raw/` already has are discarded. One job writes to a root. If a batch
    finds objects of another job, it raises OffsetError before it is published.
    """

    query = "raw_archive"

    def __init__(self, spark: SparkSession, root: str) -> None:
        """`root` is a bucket, such as s3a://cryptopricesrt, or any folder that Spark can write to."""
        super().__init__()
        self._spark = spark
        self._root = root
        self._storage = HadoopFiles(spark, root)
        self._raw, self._staging = f"{root}/raw", f"{root}/staging/raw_archive"
        self._mark = f"{self._staging}/_SUCCESS"
        self._topic_ids: TopicIds = {}
        self._own_ids: dict[str, Collection[str | None]] = {}
        self._progress: dict[tuple[str, int], int] = {}
        self._known_folders: set[str] = set()
        self._published: dict[str, set[str]] = {}
        """Names of the files that this process published, by folder; only the newest folders of a topic."""

    def resume(self, partitions: Collection[tuple[str, int]], ids: TopicIds) -> Offsets:
        """Publish an earlier process's batch. Return the next offset of each partition with objects.

        `ids` are the ids of Kafka's topics now. Raise TopicError for a topic if `raw/` only has objects
        with another id: see `accept`.
        """
        if self._storage.exists(self._mark):
            self._finish()
        self._storage.delete(self._staging)
        self._topic_ids = dict(ids)
        self._progress, self._known_folders, self._published = {}, set(), {}
        former: dict[str, str] = {}
        for topic in sorted({topic for topic, _partition in partitions} | ids.keys()):
            names = self._newest_names(topic, {each for each in partitions if each[0] == topic})
            self._progress |= self._next_offsets(topic, names)
            if topic_id := former_id(names, ids.get(topic)):
                former[topic] = topic_id
        refuse_recreated_topics(former, ids, "raw/")
        return dict(self._progress)

    def accept(self, ids: TopicIds) -> list[str]:
        """Start over with the topics that `resume` refuses. Return their names.

        The former topics' objects stay. An object without records marks the id that is read from now on.
        """
        accepted: list[str] = []
        now = datetime.now(UTC)
        for topic, topic_id in sorted(ids.items()):
            names = [name for hour in self._names(topic).values() for name in hour]
            if former_id(names, topic_id):
                hour = f"{self._raw}/topic={topic}/date={now:%Y-%m-%d}/hour={now.hour}"
                self._storage.write(f"{hour}/{Name({}, topic_id).file}", without_records())
                accepted.append(topic)
        return accepted

    def progress(self) -> Offsets:
        return dict(self._progress)

    def report_to(self, metrics: JobMetrics) -> None:
        """Report the sizes of the prefixes. landing/ is included: the extractors do not report it."""
        LakeSizes(self._storage, self._root, ("landing", "raw", "staging"), metrics).start()

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Stage the batch, then publish it file by file."""
        while True:
            self.stage(batch.transform(after_progress, self._progress))
            staged = self._staged()
            if not self._is_written(staged):
                break
        self._publish(staged)
        self._remember(staged)
        return {}

    def _remember(self, published: Sequence[StagedFile]) -> None:
        """Advance the progress, and keep the names for the check of the next batch."""
        topics = {file.topic for file in published}
        kept = {file.folder for file in published}
        self._published = {
            folder: files
            for folder, files in self._published.items()
            if folder in kept or folder.partition("/")[0] not in topics
        }
        for file in published:
            self._published.setdefault(file.folder, set()).add(file.name.file)
            self._progress |= newer(self._progress, self._next_offsets(file.topic, [file.name]))

    def stage(self, records: DataFrame) -> None:
        """Write the batch below staging/. If the process then ends, the next start publishes it."""
        # Delete `_SUCCESS` first, so it never sits beside a partial batch.
        self._storage.delete(self._mark)
        (
            records.transform(with_folders, self._topic_ids)
            .sortWithinPartitions(*STAGED_BY, "partition", "offset")
            .write.mode("overwrite")
            .partitionBy(*STAGED_BY)
            .parquet(self._staging)
        )

    def _is_written(self, staged: Sequence[StagedFile]) -> bool:
        """Return whether `raw/` already has records of the staged batch. If so, advance the progress.

        This happens if a start missed the newest offset: Kafka's clock went back by days, and later
        records are in older folders. Raise OffsetError if this process has listed the folder before:
        another process has written there since.
        """
        is_written = False
        for folder, topic in sorted({(file.folder, file.topic) for file in staged}):
            names = self._names(folder)[folder]
            self._check_published(folder, names)
            found = newer(self._progress, self._next_offsets(topic, names))
            if found and folder in self._known_folders:
                raise OffsetError(
                    f"{self._raw}/topic={folder} has objects up to {found}, but this job wrote up to "
                    f"{self._progress}: another raw_archive writes there. Stop one of them"
                )
            self._progress |= found
            self._known_folders.add(folder)
            is_written = is_written or bool(found)
        return is_written

    def _check_published(self, folder: str, names: Sequence[Name]) -> None:
        """Raise OffsetError if files are gone: what follows them would make a gap that no start closes."""
        gone = self._published.get(folder, set()) - {name.file for name in names}
        if gone:
            # Otherwise the next start would publish the batch, beyond the gap.
            self._storage.delete(self._staging)
            raise OffsetError(
                f"{self._raw}/topic={folder} lacks {min(gone)}, which this job has written: the bucket was "
                "set back to an older state, or the object was deleted. The next start resumes after the "
                "newest object"
            )

    def _finish(self) -> None:
        """Publish the rest of a batch that an earlier process staged.

        If `raw/` has some of its records under other names, that process ended before it noticed, and
        published nothing. The caller then deletes the batch, and its records are read from Kafka again.
        The same is done with a topic's files if an earlier version staged one whose name is too long,
        unless `raw/` has later records of its partitions: reading would resume after the deleted ones.
        """
        staged = self._staged()
        found = {folder: self._names(folder)[folder] for folder in {file.folder for file in staged}}
        # A file that was copied but not yet deleted has the same name in raw/.
        rest = [file for file in staged if file.name not in found[file.folder]]
        if any(file.name.repeats(name) for file in rest for name in found[file.folder]):
            return
        unnameable = {
            file.topic
            for file in rest
            if len(file.name.file) > LONGEST_NAME and self._is_read_again(file)
        }
        self._publish([file for file in rest if file.topic not in unnameable])

    def _is_read_again(self, file: StagedFile) -> bool:
        """Return whether `raw/` has no later records of the staged file's partitions."""
        names = [name for hour in self._names(file.topic).values() for name in hour]
        own = (name for name in names if name.topic_id == file.name.topic_id)
        offsets = next_offsets(file.topic, own)
        return all(
            offsets.get((file.topic, partition), 0) <= first
            for partition, (first, _last) in file.name.ranges.items()
        )

    def _publish(self, staged: Sequence[StagedFile]) -> None:
        """Move each staged file to its name in `raw/`."""
        for file in staged:
            self._storage.move(file.path, f"{self._raw}/topic={file.folder}/{file.name.file}")
        self._storage.delete(self._staging)

    def _staged(self) -> list[StagedFile]:
        """Return the files of the staged batch, sorted."""
        found = self._storage.files(self._staging)
        paths = sorted(path for path in found if path.endswith(".parquet"))
        ranges = self._ranges_of_staged() if paths else {}
        files: list[StagedFile] = []
        for path in paths:
            folder, topic_id = staged_place(path)
            files.append(StagedFile(path, folder, Name(ranges[path_in_raw(path)], topic_id)))
        return files

    def _ranges_of_staged(self) -> dict[str, Ranges]:
        """Return the first and last offset of each partition, by `path_in_raw` of the staged file."""
        found = (
            self._spark.read.parquet(self._staging)
            .groupBy(F.col("_metadata.file_path"), "partition")
            .agg(F.min("offset").alias("first"), F.max("offset").alias("last"))
        )
        ranges: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for row in found.collect():
            ranges[path_in_raw(row["file_path"])][row["partition"]] = row["first"], row["last"]
        return dict(ranges)

    def _newest_names(self, topic: str, wanted: set[tuple[str, int]]) -> list[Name]:
        """Return the names of the newest days, going back until they have every wanted partition."""
        names: list[Name] = []
        self._own_ids[topic] = own_ids(names, self._topic_ids.get(topic))
        days = reversed(self._storage.folders(f"{self._raw}/topic={topic}"))
        for count, day in enumerate(days):
            if count >= MIN_DAYS_LISTED and wanted <= self._next_offsets(topic, names).keys():
                break
            hours = self._names(f"{topic}/{day}")
            self._known_folders.update(hours)
            names += (name for hour in hours.values() for name in hour)
            self._own_ids[topic] = own_ids(names, self._topic_ids.get(topic))
        return names

    def _names(self, folder: str) -> defaultdict[str, list[Name]]:
        """Return the names below a folder of `raw/`, grouped by hour folder."""
        names: defaultdict[str, list[Name]] = defaultdict(list)
        for path in self._storage.files(f"{self._raw}/topic={folder}"):
            hour, _, file = path_in_raw(path).rpartition("/")
            if name := Name.read(file):
                names[hour].append(name)
        return names

    def _next_offsets(self, topic: str, names: Collection[Name]) -> Offsets:
        """Return the next offsets from the names that belong to the present topic."""
        own = self._own_ids[topic]
        return next_offsets(topic, (name for name in names if name.topic_id in own))


def newer(offsets: Offsets, others: Offsets) -> Offsets:
    """Return the offsets in `others` that are higher than those in `offsets`."""
    return {
        topic_partition: offset
        for topic_partition, offset in others.items()
        if offset > offsets.get(topic_partition, 0)
    }
