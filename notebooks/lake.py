"""Open the lake without Spark. Keys come from the environment."""

from deltalake import DeltaTable
from pyarrow.fs import S3FileSystem

from core.settings import Settings


def store_of(settings: Settings) -> S3FileSystem:
    return S3FileSystem(endpoint_override=settings.s3_endpoint_url)


def ticker_table(settings: Settings, version: int | None = None) -> DeltaTable:
    """Return the table of all tickers, or an earlier version of it."""
    options = {
        "AWS_ENDPOINT_URL": settings.s3_endpoint_url,
        "AWS_ALLOW_HTTP": str(settings.s3_endpoint_url.startswith("http:")).lower(),
        "AWS_REGION": "us-east-1",
    }
    return DeltaTable(f"s3://{settings.s3_bucket}/tickers", version, options)
