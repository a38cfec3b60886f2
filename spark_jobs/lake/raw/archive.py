"""Raw parquet on S3: every Kafka record as it was, each in exactly one object.

A batch is first written below `staging/`, whole when `_SUCCESS` is there. Then each of its files is
moved into `raw/`, to a name that says which offsets it holds, and of which topic:

    raw/topic=kucoin_raw_data/date=2026-11-22/hour=8/0.120-179_1.98-140.ckVJ5ZWORGWAxTTLoYGQ2A.parquet

One object per topic, hour and task of a batch. A move on S3 is a copy that appears whole. A process that
ends in between leaves a staged batch: the next one moves the rest of it where it is whole, deletes it
where it is not, and then resumes after the names that it finds in `raw/`.

The folder of a record is that of its timestamp, which never changes. So whether `raw/` has the records of a
batch is seen in the folders of that batch alone, wherever the broker's clock has been in the meantime.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.kafka_source.offsets import Offsets, after_progress
from spark_jobs.kafka_source.partitions import OffsetError
from spark_jobs.kafka_source.topic_ids import TopicIds, refuse_another
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.raw.names import (
    Name,
    Ranges,
    former_id,
    next_offsets,
    own_ids,
    place,
    staged_place,
)
from spark_jobs.lake.raw.staged_records import STAGED_BY, with_folders, without_records
from spark_jobs.lake.sizes import LakeSizes
from spark_jobs.run.metrics import JobMetrics
from spark_jobs.run.sink import Counts, Sink

# Kafka's clock may have been set back over midnight.
FEWEST_DAYS = 2


class StagedFile(NamedTuple):
    """`folder` is where it belongs in `raw/`: kucoin_raw_data/date=2026-11-22/hour=8."""

    path: str
    folder: str
    name: Name

    @property
    def topic(self) -> str:
        return self.folder.partition("/")[0]


class Archive(Sink):
    """Writes batches of Kafka records below `<root>/raw`.

    Effectively once: records that `raw/` has are left out. One job writes to a root; a batch that meets
    another's objects raises OffsetError before it is published.
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

    def resume(self, partitions: Collection[tuple[str, int]], ids: TopicIds) -> Offsets:
        """Finish what an earlier process began. Return the next offset of each partition that has objects.

        `ids` are those of Kafka's topics now. Raise TopicError for a topic of which `raw/` has records
        with another id only: see `accept`.
        """
        if self._storage.exists(self._mark):
            self._finish()
        self._storage.delete(self._staging)
        self._topic_ids = dict(ids)
        self._progress, self._known_folders = {}, set()
        former: dict[str, str] = {}
        for topic in sorted({topic for topic, _partition in partitions} | ids.keys()):
            names = self._newest_names(topic, {each for each in partitions if each[0] == topic})
            self._progress |= self._next_offsets(topic, names)
            if topic_id := former_id(names, ids.get(topic)):
                former[topic] = topic_id
        refuse_another(former, ids, "raw/")
        return dict(self._progress)

    def accept(self, ids: TopicIds) -> list[str]:
        """Begin anew with the topics that `resume` refuses. Return these.

        The former topics' objects stay. An object without records says which id is read from now on.
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

    def report_to(self, metrics: JobMetrics) -> None:
        """Report the sizes of the prefixes. The extractors write landing/ and report no sizes."""
        LakeSizes(self._storage, self._root, ("landing", "raw", "staging"), metrics).start()

    def _write_batch(self, batch: DataFrame) -> Counts:
        """Stage the batch, then publish it file by file."""
        while True:
            self.stage(batch.transform(after_progress, self._progress))
            staged = self._staged()
            if not self._is_written(staged):
                break
        self._publish(staged)
        for file in staged:
            self._progress |= newer(self._progress, self._next_offsets(file.topic, [file.name]))
        return {}

    def stage(self, records: DataFrame) -> None:
        """Write the batch below staging/. If the process ends after this, the next start publishes it."""
        # First the mark, so that it never stands beside a part of what it marked.
        self._storage.delete(self._mark)
        (
            records.transform(with_folders, self._topic_ids)
            .sortWithinPartitions(*STAGED_BY, "partition", "offset")
            .write.mode("overwrite")
            .partitionBy(*STAGED_BY)
            .parquet(self._staging)
        )

    def _is_written(self, staged: Sequence[StagedFile]) -> bool:
        """Return whether `raw/` already has records of the staged batch, and take them into the progress.

        It has where a start did not find the newest offset: a clock went back by days, and what came then is
        in older folders. In a folder that this process has looked into before, another process has written
        them: raise OffsetError.
        """
        is_written = False
        for folder, topic in sorted({(file.folder, file.topic) for file in staged}):
            found = newer(self._progress, self._next_offsets(topic, self._names(folder)[folder]))
            if found and folder in self._known_folders:
                raise OffsetError(
                    f"{self._raw}/topic={folder} goes to {found}, but this job wrote up to "
                    f"{self._progress}: another raw_archive writes there. Stop one of them"
                )
            self._progress |= found
            self._known_folders.add(folder)
            is_written = is_written or bool(found)
        return is_written

    def _finish(self) -> None:
        """Publish the rest of a batch that an earlier process staged.

        If `raw/` has some of its records under other names, that process ended before it saw that, and
        published nothing. The batch is then deleted, and read from Kafka again.
        """
        staged = self._staged()
        found = {folder: self._names(folder)[folder] for folder in {file.folder for file in staged}}
        # A file that was copied and not deleted has the same name.
        rest = [file for file in staged if file.name not in found[file.folder]]
        if not any(file.name.repeats(name) for file in rest for name in found[file.folder]):
            self._publish(rest)

    def _publish(self, staged: Sequence[StagedFile]) -> None:
        """Move each staged file to its name."""
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
            files.append(StagedFile(path, folder, Name(ranges[place(path)], topic_id)))
        return files

    def _ranges_of_staged(self) -> dict[str, Ranges]:
        """First and last offset by partition, of each staged file by its place."""
        found = (
            self._spark.read.parquet(self._staging)
            .groupBy(F.col("_metadata.file_path"), "partition")
            .agg(F.min("offset").alias("first"), F.max("offset").alias("last"))
        )
        ranges: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
        for row in found.collect():
            ranges[place(row["file_path"])][row["partition"]] = row["first"], row["last"]
        return dict(ranges)

    def _newest_names(self, topic: str, wanted: set[tuple[str, int]]) -> list[Name]:
        """Return the names of the topic's newest days, of so many that each wanted partition is in them."""
        names: list[Name] = []
        self._own_ids[topic] = own_ids(names, self._topic_ids.get(topic))
        days = reversed(self._storage.folders(f"{self._raw}/topic={topic}"))
        for count, day in enumerate(days):
            if count >= FEWEST_DAYS and wanted <= self._next_offsets(topic, names).keys():
                break
            hours = self._names(f"{topic}/{day}")
            self._known_folders.update(hours)
            names += (name for hour in hours.values() for name in hour)
            self._own_ids[topic] = own_ids(names, self._topic_ids.get(topic))
        return names

    def _names(self, folder: str) -> defaultdict[str, list[Name]]:
        """Return the names below a folder of `raw/`, by the folder of their hour."""
        names: defaultdict[str, list[Name]] = defaultdict(list)
        for path in self._storage.files(f"{self._raw}/topic={folder}"):
            hour, _, file = place(path).rpartition("/")
            if name := Name.read(file):
                names[hour].append(name)
        return names

    def _next_offsets(self, topic: str, names: Collection[Name]) -> Offsets:
        """Return the next offsets by those names that are of the present topic."""
        own = self._own_ids[topic]
        return next_offsets(topic, (name for name in names if name.topic_id in own))


def newer(offsets: Offsets, others: Offsets) -> Offsets:
    """Of the others, those that lie beyond the offsets."""
    return {place: next_ for place, next_ in others.items() if next_ > offsets.get(place, 0)}
