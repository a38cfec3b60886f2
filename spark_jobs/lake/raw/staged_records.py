"""What an object of the archive has: a Kafka record's columns, but those that its folder says."""

from io import BytesIO

from pyarrow import parquet
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from spark_jobs.kafka_source.schemas import RECORD
from spark_jobs.kafka_source.topic_ids import TopicIds

COLUMNS = [field for field in RECORD if field.name not in ("topic", "timestampType")]

STAGED_BY = ("topic", "date", "hour", "topic_id")
"""The first three are in the folder of an object, the last is in its name."""


def with_folders(records: DataFrame, topic_ids: TopicIds) -> DataFrame:
    """Return the columns of objects and those that a batch is staged by.

    Date and hour are those of Kafka's timestamp, in UTC. The hour is a number, so a folder is named `hour=8`:
    readers do not agree on what `hour=08` is.
    """
    known_ids = (F.when(F.col("topic") == topic, F.lit(topic_ids[topic])) for topic in topic_ids)
    return records.select(
        "topic",
        *(column.name for column in COLUMNS),
        F.date_format("timestamp", "yyyy-MM-dd").alias("date"),
        F.hour("timestamp").alias("hour"),
        F.coalesce(*known_ids, F.lit(None).cast("string")).alias("topic_id"),
    )


def without_records() -> bytes:
    """Return an object that has no record."""
    content = BytesIO()
    schema = to_arrow_schema(T.StructType(COLUMNS), timezone="UTC")
    parquet.write_table(schema.empty_table(), content, store_schema=False)
    return content.getvalue()
