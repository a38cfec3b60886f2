"""Define the columns of the archive's objects: those of a Kafka record without topic and timestampType.

The topic is in the folder's name; timestamps are always Kafka's.
"""

from io import BytesIO

from pyarrow import parquet
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from spark_jobs.kafka_source.schemas import RECORD
from spark_jobs.kafka_source.topic_ids import TopicIds

COLUMNS = [field for field in RECORD if field.name not in ("topic", "timestampType")]

PARTITIONS_OF_A_FILE = 8
"""Maximum number of a topic's partitions in a file. An object's name lists the offsets of each one, and
neither MinIO nor disks accept names of more than 255 bytes: 8 partitions with offsets of 11 digits."""

STAGED_BY = ("topic", "date", "hour", "topic_id", "partitions")
"""Columns that partition a staged batch: three become an object's folder, and topic_id is in its name."""


def with_folders(records: DataFrame, topic_ids: TopicIds) -> DataFrame:
    """Return the records with COLUMNS and STAGED_BY.

    Date and hour are those of Kafka's timestamp, in UTC. The hour is a number, so a folder is named
    `hour=8`: readers disagree about the meaning of `hour=08`.
    """
    known_ids = (F.when(F.col("topic") == topic, F.lit(topic_ids[topic])) for topic in topic_ids)
    return records.select(
        "topic",
        *(column.name for column in COLUMNS),
        F.date_format("timestamp", "yyyy-MM-dd").alias("date"),
        F.hour("timestamp").alias("hour"),
        F.coalesce(*known_ids, F.lit(None).cast("string")).alias("topic_id"),
        F.expr(f"partition DIV {PARTITIONS_OF_A_FILE}").alias("partitions"),
    )


def without_records() -> bytes:
    """Return the content of an object without records."""
    content = BytesIO()
    schema = to_arrow_schema(T.StructType(COLUMNS), timezone="UTC")
    parquet.write_table(schema.empty_table(), content, store_schema=False)
    return content.getvalue()
