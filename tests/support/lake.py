"""Read the lake without Spark: with DuckDB, Arrow and delta-rs."""

from typing import Any
from urllib.parse import urlsplit

import deltalake
import duckdb
from pyarrow.dataset import Dataset, dataset
from pyarrow.fs import FileSelector, S3FileSystem

from core.settings import Settings
from infra.services.object_store import storage_options


def archived(settings: Settings, prefix: str) -> list[tuple[Any, ...]]:
    """Return (topic, partition, offset, value, key) of all records below the prefix, read by DuckDB."""
    records = archive_dataset(settings, prefix)
    if records is None:
        return []
    with duckdb.connect() as lake:
        lake.register("records", records)
        return lake.execute(
            'SELECT topic, partition, "offset", value, key FROM records ORDER BY ALL'
        ).fetchall()


def archived_records(settings: Settings, prefix: str) -> list[dict[str, Any]]:
    """Return all records below the prefix with all columns, read by Arrow."""
    records = archive_dataset(settings, prefix)
    return [] if records is None else list(records.to_table().to_pylist())


def archive_dataset(settings: Settings, prefix: str) -> Dataset | None:
    """Return the records below the prefix as an Arrow dataset, None if there is no object yet."""
    store = S3FileSystem(
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
        endpoint_override=urlsplit(settings.s3_endpoint_url).netloc,
        scheme="http",
        region="us-east-1",
    )
    folder = f"{settings.s3_bucket}/{prefix}"
    found = store.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
    files = [info.path for info in found if info.path.endswith(".parquet")]
    if not files:
        return None
    return dataset(files, filesystem=store, partitioning="hive", partition_base_dir=folder)


def tickers(settings: Settings) -> list[tuple[Any, ...]]:
    """Return (topic, partition, offset, position) of the table's rows, read by delta-rs."""
    columns = ["topic", "partition", "offset", "position"]
    rows = _ticker_table(settings).to_pyarrow_table(columns=columns)
    return sorted(zip(*(rows[column].to_pylist() for column in columns), strict=True))


def ticker_rows(settings: Settings) -> list[dict[str, Any]]:
    """Return the table's rows with all columns, read by delta-rs."""
    return list(_ticker_table(settings).to_pyarrow_table().to_pylist())


def _ticker_table(settings: Settings) -> deltalake.DeltaTable:
    options = storage_options(settings)
    return deltalake.DeltaTable(f"s3://{settings.s3_bucket}/tickers", storage_options=options)
