"""Read, for each row of `tickers/`, which Kafka message it came from."""

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
from spark_jobs.lake.tickers.missing_files import missing_files
from spark_jobs.lake.tickers.progress import newest_progress

COLUMNS = "topic STRING, partition INT, offset BIGINT, received_at TIMESTAMP"


class StoredTickers(NamedTuple):
    """Rows with COLUMNS and missing files of the requested days, and the table's progress.

    `until` is the next offset of every partition that was read into the table. `missing` are the files
    that the table's log names but the store lacks.
    """

    rows: DataFrame
    until: Offsets
    missing: list[str]


def stored_tickers(
    spark: SparkSession, settings: Settings, since: datetime, until: datetime
) -> StoredTickers | None:
    """Return the tickers of the days from `since` to `until`, both included; None if there is no table.

    The files of the newest version are read by their names, because a Delta reader would fail at the
    first missing file.
    """
    path = f"{lake_root(settings)}/tickers"
    options = delta_options(spark, path)
    if not deltalake.DeltaTable.is_deltatable(path, options):
        return None
    table = deltalake.DeltaTable(path, storage_options=options)
    progress = newest_progress(table, path)
    days = str(since.date()), str(until.date())
    named = {
        str(action["path"])
        for action in pa.table(table.get_add_actions()).to_pylist()
        if days[0] <= str(action["partition"]["date"]) <= days[1]
    }
    missing = missing_files(HadoopFiles(spark, path), path, named)
    found = [f"{path}/{name}" for name in sorted(named - missing)]
    rows = (
        spark.read.schema(COLUMNS).parquet(*found) if found else spark.createDataFrame([], COLUMNS)
    )
    return StoredTickers(rows, progress.next_offsets, sorted(missing))
