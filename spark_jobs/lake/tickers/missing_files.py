"""Find files that the table's log names but the store lacks: somebody deleted them."""

from collections.abc import Iterable

from spark_jobs.lake.hadoop_files import HadoopFiles


def missing_files(storage: HadoopFiles, path: str, names: Iterable[str]) -> set[str]:
    """Return which of the table's files are not below `path`. Each folder is listed once."""
    named = {*names}
    folders = {name.rpartition("/")[0] for name in named}
    stored = {
        file.removeprefix(f"{path}/")
        for folder in folders
        for file in storage.files(f"{path}/{folder}")
    }
    return named - stored
