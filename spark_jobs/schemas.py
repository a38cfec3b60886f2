"""The shapes that the transforms read and write."""

from pyspark.sql import types as T

from core.topics import BINANCE_RAW_DATA, FEED_EVENTS, INSTRUMENTS, KUCOIN_RAW_DATA

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

# Where each exchange keeps what a ticker says. Both are parsed by one schema, so that a batch is read
# once. Every leaf is text: a number stays as the exchange wrote it until it is checked. `e` is not
# named: Spark can't tell it from `E`.
FIELDS = {
    BINANCE_RAW_DATA: {
        "symbol": "s",
        "price": "c",
        "open_24h": "o",
        "high_24h": "h",
        "low_24h": "l",
        "base_volume_24h": "v",
        "quote_volume_24h": "q",
        "event_time": "E",
        "sequence": "E",
        "received_at": "received_at",
    },
    KUCOIN_RAW_DATA: {
        "symbol": "subject",
        "price": "data.price",
        "bid": "data.bestBid",
        "bid_size": "data.bestBidSize",
        "ask": "data.bestAsk",
        "ask_size": "data.bestAskSize",
        "last_size": "data.size",
        "traded_at": "data.time",
        # `time` is that of the last trade, up to 25 minutes old: no time of this ticker.
        "event_time": "received_at",
        "sequence": "data.sequence",
        "received_at": "received_at",
    },
}

ITEM = (
    "E STRING, s STRING, c STRING, o STRING, h STRING, l STRING, v STRING, q STRING,"
    " subject STRING, data STRUCT<price STRING, bestBid STRING, bestBidSize STRING, bestAsk STRING,"
    " bestAskSize STRING, size STRING, time STRING, sequence STRING>,"
    # The last is no exchange's: see items.whole_message.
    " received_at STRING, unreadable STRING, whole_message STRING"
)

AMOUNTS = (
    "price",
    "bid",
    "bid_size",
    "ask",
    "ask_size",
    "last_size",
    "open_24h",
    "high_24h",
    "low_24h",
    "base_volume_24h",
    "quote_volume_24h",
)

# The normalised ticker: amounts DECIMAL(38,18), times UTC, NULL where an exchange does not say.
TICKER = (
    "exchange",
    "symbol",
    *AMOUNTS,
    "traded_at",
    "event_time",
    "sequence",
    "received_at",
    "endpoint",
    "topic",
    "partition",
    "offset",
    "position",
)

# What all tickers of a symbol say of a minute; the columns of the table candles_1m.
CANDLE = (
    "exchange",
    "symbol",
    "minute",
    "open",
    "high",
    "low",
    "close",
    "open_sequence",
    "close_sequence",
    "updates",
)

# The two small topics: the fields of their messages, which are the columns of the tables of that name.
SMALL_TOPICS = {
    INSTRUMENTS: ("exchange", "symbol", "base", "quote", "status", "seen_at"),
    FEED_EVENTS: ("exchange", "endpoint", "kind", "reason", "from", "to", "frames"),
}
