"""The shapes of Kafka records and of the small topics' messages. Those of tickers: tickers/columns.py."""

from pyspark.sql import types as T

from core.topics import FEED_EVENTS, INSTRUMENTS

# What the Kafka source gives, with includeHeaders.
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

# The two small topics: the fields of their messages, which are the columns of the tables of that name.
SMALL_TOPICS = {
    INSTRUMENTS: ("exchange", "symbol", "base", "quote", "status", "seen_at"),
    FEED_EVENTS: ("exchange", "endpoint", "kind", "reason", "from", "to", "frames"),
}
