"""The names of the Kafka topics, which exchange fills which raw one, and how long those are kept."""

BINANCE_RAW_DATA = "binance_raw_data"
KUCOIN_RAW_DATA = "kucoin_raw_data"

EXCHANGE_OF_TOPIC = {BINANCE_RAW_DATA: "binance", KUCOIN_RAW_DATA: "kucoin"}
TOPIC_OF_EXCHANGE = {exchange: topic for topic, exchange in EXCHANGE_OF_TOPIC.items()}

RAW_TOPIC_DAYS = 7
"""For so long Kafka keeps what is in a raw topic."""

INSTRUMENTS = "instruments"
FEED_EVENTS = "feed_events"
