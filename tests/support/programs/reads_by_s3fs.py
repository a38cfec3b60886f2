"""Read `raw/` and `tickers/` of a bucket with pandas and DuckDB on s3fs; print rows as JSON lines.

Runs in a separate environment, tests/clients/environments/s3fs.lock:

    python -m tests.support.programs.reads_by_s3fs BUCKET
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pandas
from s3fs import S3FileSystem

from tests.support.reader_rows import raw_rows, ticker_rows

STORE = {
    "key": os.environ["AWS_ACCESS_KEY_ID"],
    "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
    "endpoint_url": os.environ["S3_ENDPOINT_URL"],
}


def by_pandas(folder: str) -> Iterable[Mapping[str, Any]]:
    found: list[dict[str, Any]] = pandas.read_parquet(folder, storage_options=STORE).to_dict(
        "records"
    )
    return found


def by_duckdb(folder: str) -> Iterable[Mapping[str, Any]]:
    with duckdb.connect() as lake:
        lake.register_filesystem(S3FileSystem(**STORE))
        lake.execute("SET TimeZone = 'UTC'")
        found = lake.execute(
            f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
        )
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def main(bucket: str) -> None:
    for name, read in (("pandas", by_pandas), ("duckdb", by_duckdb)):
        print(json.dumps([name, "raw", raw_rows(read(f"s3://{bucket}/raw"))]))
        print(json.dumps([name, "tickers", ticker_rows(read(f"s3://{bucket}/tickers"))]))


if __name__ == "__main__":
    main(sys.argv[1])
