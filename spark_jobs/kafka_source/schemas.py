"""Schemas of Kafka records and of the small topics' messages; for tickers, see tickers/columns.py."""

from pyspark.sql import types as T

from core.topics import FEED_EVENTS, INSTRUMENTS

RECORD = T.StructType(
    [
        T.StructField("key", T.BinaryType()),
        T.StructField("value", T.BinaryType()),
        T.StructField("topic", T.StringType()),
        T.StructField("partition", T.IntegerType()),
        T.StructField("offset", T.LongType()),
        T.StructField("timestamp", T.TimestampType()),
        T.StructField("timestampType", T.IntegerType()),
        T.StructField(
            "headers",
            T.ArrayType(
                T.StructType(
                    [
                        T.StructField("key", T.StringType()),
                        T.StructField("value", T.BinaryType()),
                    ]
                )
            ),
        ),
    ]
)
"""Columns of Spark's Kafka source with includeHeaders."""

SMALL_TOPICS = {
    INSTRUMENTS: ("exchange", "symbol", "base", "quote", "status", "seen_at"),
    FEED_EVENTS: ("exchange", "endpoint", "kind", "reason", "from", "to", "frames"),
}
"""Fields of the messages, which are also the columns of the tables with the topics' names."""
