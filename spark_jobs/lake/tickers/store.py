"""Open the file system of the tickers' table for Arrow."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from pyarrow.fs import FileSelector, FileSystem, LocalFileSystem, S3FileSystem

from spark_jobs.lake.delta_options import CA_BUNDLE


def file_system(path: str, options: Mapping[str, str]) -> tuple[FileSystem, str]:
    """Return the file system of a path such as s3a://bucket/tickers or file:/lake, and the path in it.

    `options` are those of delta_options. Without keys, Arrow uses a profile, a web identity or the
    machine's role.
    """
    url = urlsplit(path)
    if url.scheme != "s3a":
        return LocalFileSystem(), url.path
    endpoint = urlsplit(options.get("AWS_ENDPOINT_URL", ""))
    store = S3FileSystem(  # type: ignore[call-arg]  # the stubs lack tls_ca_file_path
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        session_token=options.get("AWS_SESSION_TOKEN"),
        region=options.get("AWS_REGION"),
        scheme="http" if endpoint.scheme == "http" else "https",
        endpoint_override=endpoint.netloc or None,
        tls_ca_file_path=options.get(CA_BUNDLE),
    )
    return store, url.netloc + url.path


def has_files(path: str, options: Mapping[str, str]) -> bool:
    """Return whether any file is below the path, at any depth."""
    store, folder = file_system(path, options)
    found = store.get_file_info(FileSelector(folder, allow_not_found=True, recursive=True))
    return any(each.is_file for each in found)
