"""The rows of `tickers/` where they came from: which item of which message each is."""

from datetime import datetime
from typing import NamedTuple

import deltalake
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.lake.delta_options import delta_options
from spark_jobs.lake.hadoop_files import HadoopFiles
from spark_jobs.lake.query import lake_root
from spark_jobs.lake.tickers.progress import newest_progress

COLUMNS = "topic STRING, partition INT, offset BIGINT, received_at TIMESTAMP"


class StoredTickers(NamedTuple):
    """`rows` has COLUMNS; `until` is the next offset of every partition that the table has read.

    `missing` names files that the table has and the store has not.
    """

    rows: DataFrame
    until: Offsets
    missing: list[str]


def stored_tickers(
    spark: SparkSession, settings: Settings, since: datetime, until: datetime
) -> StoredTickers | None:
    """Return the tickers of the days in which something was received from `since` to `until`.

    None where there is no table. The files of one version are read by their names: a reader of Delta would
    end at the first that is not there.
    """
    path = f"{lake_root(settings)}/tickers"
    options = delta_options(spark, path)
    if not deltalake.DeltaTable.is_deltatable(path, options):
        return None
    table = deltalake.DeltaTable(path, storage_options=options)
    progress = newest_progress(table, path)
    days = str(since.date()), str(until.date())
    named = {
        action["path"]: str(action["partition"]["date"])
        for action in pa.table(table.get_add_actions()).to_pylist()
        if days[0] <= str(action["partition"]["date"]) <= days[1]
    }
    storage = HadoopFiles(spark, path)
    stored = {
        file.removeprefix(f"{path}/")
        for day in sorted({*named.values()})
        for file in storage.files(f"{path}/date={day}")
    }
    found = [f"{path}/{name}" for name in sorted(named.keys() & stored)]
    rows = (
        spark.read.schema(COLUMNS).parquet(*found) if found else spark.createDataFrame([], COLUMNS)
    )
    return StoredTickers(rows, progress.next_offsets, sorted(named.keys() - stored))
