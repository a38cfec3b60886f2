"""Open the Delta table `tickers/` without Spark, to read its properties and its commits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import deltalake
from deltalake.exceptions import TableNotFoundError

from core.settings import Settings
from infra.services.object_store import storage_options


def opened(settings: Settings) -> deltalake.DeltaTable | None:
    """Return the table as it is now; None before its first batch. Raise DeltaError or OSError."""
    path, options = f"s3://{settings.s3_bucket}/tickers", storage_options(settings)
    try:
        with _trusted(settings.s3_ca_bundle):
            return deltalake.DeltaTable(path, storage_options=options)
    except TableNotFoundError:
        return None


@contextmanager
def _trusted(authority: str) -> Iterator[None]:
    """Let delta-rs trust only the certificate in this file, if there is one, until the context ends.

    delta-rs has no option for it, and reads the variable when it opens a table. Other clients read the
    variable, too: it must not last.
    """
    name = "SSL_CERT_FILE"
    former = os.environ.get(name)
    if authority:
        os.environ[name] = authority
    try:
        yield
    finally:
        if former is not None:
            os.environ[name] = former
        elif authority:
            del os.environ[name]
