"""Copy tables and their progress at one moment, as the live job committed them together.

The tables are copied to files to keep the transaction short: while it is open, VACUUM
can't remove the versions of rows that updates replace.
"""

import csv
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import cursor
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from spark_jobs.kafka_source.offsets import Offsets

# An empty text is quoted, NULL is not.
COPY = "COPY ({query}) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)"


class Snapshot(NamedTuple):
    taken_at: datetime
    progress: Offsets
    files: Mapping[str, Path]


def take_snapshot(
    database_url: str, topics: Sequence[str], queries: Mapping[str, str], folder: Path
) -> Snapshot:
    """Return the progress in these topics, and the result of each query as a CSV file in the folder."""
    with closing(psycopg2.connect(database_url)) as database:
        database.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with database, database.cursor() as statements:
            statements.execute("SELECT now()")
            ((taken_at,),) = statements.fetchall()
            statements.execute(
                "SELECT topic, partition, next_offset FROM kafka_progress WHERE topic = ANY(%s)",
                (list(topics),),
            )
            progress = {(topic, number): offset for topic, number, offset in statements.fetchall()}
            files = {name: _copy(statements, queries[name], folder / name) for name in queries}
    return Snapshot(taken_at, progress, files)


def _copy(statements: cursor, query: str, path: Path) -> Path:
    with path.open("wb") as file:
        statements.copy_expert(COPY.format(query=query), file)
    return path


def read_copy(spark: SparkSession, path: Path, schema: StructType) -> DataFrame:
    """Return the rows of a file, with the names and types of the schema."""
    # Without a schema, Spark would run a job to read the names of the columns.
    with path.open(newline="", encoding="utf-8") as file:
        names = next(csv.reader(file))
    text = spark.read.csv(
        path.as_uri(),
        schema=StructType([StructField(name, StringType()) for name in names]),
        header=True,
        multiLine=True,
        lineSep="\n",
        escape='"',
        # Spark puts this text in place of an empty unquoted field, and then reads it as NULL. No text in
        # Postgres contains the character NUL, so no other field equals it.
        nullValue="\0",
    )
    return text.select(*(F.col(field.name).cast(field.dataType) for field in schema))
