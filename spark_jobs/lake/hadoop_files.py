"""Files below a folder, on S3 or on a disk: Hadoop's file system, which Spark writes with."""

import re
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

# What a FileStatus of Hadoop writes of itself.
STATUS = re.compile(r"path=(.+?); isDirectory=(true|false)")


class Usage(NamedTuple):
    bytes: int
    files: int


class HadoopFiles:
    """The file system that a folder lies in. Errors of S3 come as Py4JJavaError."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        # PySpark has no public name for Hadoop's file systems.
        jvm: Any = spark._jvm  # noqa: SLF001
        # Asked for once: for each name in it py4j has every jar searched.
        self._path: Any = jvm.org.apache.hadoop.fs.Path
        self._iterators: Any = jvm.org.apache.hadoop.util.functional.RemoteIterators
        configuration = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        self._filesystem = self._path(folder).getFileSystem(configuration)
        self._has_folders = self._filesystem.getScheme() != "s3a"

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below the folder, at any depth; none when it does not exist.

        A path is as Hadoop writes it, with the scheme.
        """
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return []
        found = self._listed(self._filesystem.listFiles(path, True))
        return [name for name, is_folder in found if not is_folder]

    def usage(self, folder: str) -> Usage:
        """Of all that is below the folder, at any depth; none when it is not there."""
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return Usage(0, 0)
        # One call, and on S3 a flat listing: a thousand objects a request.
        summary = self._filesystem.getContentSummary(path)
        return Usage(summary.getLength(), summary.getFileCount())

    def folders(self, folder: str) -> list[str]:
        """The names of those directly below the folder, sorted; none when it is not there."""
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return []
        found = self._listed(self._filesystem.listStatusIterator(path))
        return sorted(name.rpartition("/")[2] for name, is_folder in found if is_folder)

    def write(self, name: str, content: bytes) -> None:
        """Write a file. On S3 it appears whole, or not at all."""
        stream = self._filesystem.create(self._path(name), True)
        stream.write(content)
        stream.close()

    def exists(self, name: str) -> bool:
        return bool(self._filesystem.exists(self._path(name)))

    def delete(self, name: str) -> None:
        """A file, or a folder with all that is below it; nothing when it is not there."""
        self._filesystem.delete(self._path(name), True)

    def move(self, source: str, target: str) -> None:
        """Move a file: on S3 a copy, which appears whole, and a delete of the source. Raise OSError."""
        path = self._path(target)
        if self._has_folders:
            # On S3 it would write an empty object, which some readers take for a file.
            self._filesystem.mkdirs(path.getParent())
        if not self._filesystem.rename(self._path(source), path):
            raise OSError(f"{source} could not be moved to {target}")

    def _listed(self, statuses: Any) -> list[tuple[str, bool]]:
        """Return path and is_folder of each status, which all pass from the JVM as one text.

        A call to the JVM takes some tenths of a millisecond, and each status by itself would need several.
        """
        text = self._iterators.toList(statuses).toString()
        return [(path, is_folder == "true") for path, is_folder in STATUS.findall(text)]
