"""Open the lake without Spark. Keys come from the environment."""

from deltalake import DeltaTable
from pyarrow.fs import S3FileSystem

from core.settings import Settings
from infra.services.object_store import storage_options


def store_of(settings: Settings) -> S3FileSystem:
    return S3FileSystem(endpoint_override=settings.s3_endpoint_url)


def ticker_table(settings: Settings, version: int | None = None) -> DeltaTable:
    """Return the table of all tickers, or an earlier version of it."""
    return DeltaTable(f"s3://{settings.s3_bucket}/tickers", version, storage_options(settings))
