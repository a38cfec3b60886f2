"""Files below a folder, on S3 or on a disk: Hadoop's file system, which Spark writes with."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pyspark.sql import SparkSession


class File(NamedTuple):
    """`path` is as Hadoop writes it, with the scheme; `size` is in bytes."""

    path: str
    size: int


class Usage(NamedTuple):
    bytes: int
    files: int


class Storage:
    """The file system that a folder lies in. Errors of S3 come as Py4JJavaError."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        # PySpark has no public name for Hadoop's file systems.
        jvm: Any = spark._jvm  # noqa: SLF001
        # Asked for once: for each name in it py4j has every jar searched.
        self._path: Any = jvm.org.apache.hadoop.fs.Path
        configuration = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
        self._filesystem = self._path(folder).getFileSystem(configuration)

    def files(self, folder: str) -> Iterator[File]:
        """All below the folder, at any depth; none when it is not there."""
        path = self._path(folder)
        if self._filesystem.exists(path):
            found = self._filesystem.listFiles(path, True)
            while found.hasNext():
                status = found.next()
                yield File(status.getPath().toString(), status.getLen())

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
        found = self._filesystem.listStatus(path)
        return sorted(status.getPath().getName() for status in found if status.isDirectory())

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
        """On S3 a copy, which appears whole, and then the source's end. Raises OSError."""
        path = self._path(target)
        self._filesystem.mkdirs(path.getParent())
        if not self._filesystem.rename(self._path(source), path):
            raise OSError(f"{source} could not be moved to {target}")
