"""List, write, move and delete files on S3 or on a disk, with Spark's Hadoop file systems."""

import re
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

# The text of one of Hadoop's FileStatus objects.
STATUS = re.compile(r"path=(.+?); isDirectory=(true|false)")


class Usage(NamedTuple):
    bytes: int
    files: int


class HadoopFiles:
    """The file system of a folder. Errors of S3 are raised as Py4JJavaError."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        # PySpark has no public name for Hadoop's file systems.
        jvm: Any = spark._jvm  # noqa: SLF001
        # Looked up once: for each part of such a name, py4j searches every jar.
        self._path: Any = jvm.org.apache.hadoop.fs.Path
        self._iterators: Any = jvm.org.apache.hadoop.util.functional.RemoteIterators
        configuration = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        self._filesystem = self._path(folder).getFileSystem(configuration)
        self._has_folders = self._filesystem.getScheme() != "s3a"

    def files(self, folder: str) -> list[str]:
        """Return the paths of all files below the folder, at any depth; none if it does not exist.

        Paths are written as in Hadoop, with the scheme.
        """
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return []
        found = self._listed(self._filesystem.listFiles(path, True))
        return [name for name, _is_folder in found]

    def usage(self, folder: str) -> Usage:
        """Return bytes and number of files below the folder, at any depth; 0 if it does not exist."""
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return Usage(0, 0)
        # One call. On S3 it is a flat listing, with 1,000 objects per request.
        summary = self._filesystem.getContentSummary(path)
        return Usage(summary.getLength(), summary.getFileCount())

    def folders(self, folder: str) -> list[str]:
        """Return the sorted names of the folders directly below; none if the folder does not exist."""
        path = self._path(folder)
        if not self._filesystem.exists(path):
            return []
        found = self._listed(self._filesystem.listStatusIterator(path))
        return sorted(name.rpartition("/")[2] for name, is_folder in found if is_folder)

    def write(self, name: str, content: bytes) -> None:
        """Write a file. On S3 it appears completely or not at all."""
        stream = self._filesystem.create(self._path(name), True)
        stream.write(content)
        stream.close()

    def exists(self, name: str) -> bool:
        return bool(self._filesystem.exists(self._path(name)))

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with everything below it. Do nothing if it does not exist."""
        self._filesystem.delete(self._path(name), True)

    def move(self, source: str, target: str) -> None:
        """Move a file. Raise OSError if Hadoop refuses without an exception of its own.

        On S3 this is a copy, which appears completely or not at all, and a delete of the source.
        """
        path = self._path(target)
        if self._has_folders:
            # Not on S3: mkdirs would write an empty object, which some readers take for a file.
            self._filesystem.mkdirs(path.getParent())
        if not self._filesystem.rename(self._path(source), path):
            raise OSError(f"{source} could not be moved to {target}")

    def _listed(self, statuses: Any) -> list[tuple[str, bool]]:
        """Return path and is_folder of each status. The JVM returns all statuses as one text.

        A call to the JVM takes some tenths of a millisecond, and each status would need several of them.
        """
        text = self._iterators.toList(statuses).toString()
        return [(path, is_folder == "true") for path, is_folder in STATUS.findall(text)]
