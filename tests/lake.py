"""What is in the lake, as readers who know nothing of Spark find it."""

from typing import Any
from urllib.parse import urlsplit

import deltalake
import duckdb
from pyarrow.dataset import dataset
from pyarrow.fs import FileSelector, S3FileSystem

from core.settings import Settings


def archived(settings: Settings, prefix: str) -> list[tuple[Any, ...]]:
    """topic, partition, offset, value, key of all records below the prefix, read by DuckDB."""
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
        return []
    records = dataset(files, filesystem=store, partitioning="hive", partition_base_dir=folder)
    with duckdb.connect() as lake:
        lake.register("records", records)
        return lake.execute(
            'SELECT topic, partition, "offset", value, key FROM records ORDER BY ALL'
        ).fetchall()


def tickers(settings: Settings) -> list[tuple[Any, ...]]:
    """(topic, partition, offset, position) of the table's rows, read by delta-rs."""
    options = {
        "AWS_ENDPOINT_URL": settings.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    table = deltalake.DeltaTable(f"s3://{settings.s3_bucket}/tickers", storage_options=options)
    columns = ["topic", "partition", "offset", "position"]
    rows = table.to_pyarrow_table(columns=columns)
    return sorted(zip(*(rows[column].to_pylist() for column in columns), strict=True))
