"""The names of the Kafka topics, and which exchange fills which raw one."""

BINANCE_RAW_DATA = "binance_raw_data"
KUCOIN_RAW_DATA = "kucoin_raw_data"

EXCHANGE_OF_TOPIC = {BINANCE_RAW_DATA: "binance", KUCOIN_RAW_DATA: "kucoin"}
TOPIC_OF_EXCHANGE = {exchange: topic for topic, exchange in EXCHANGE_OF_TOPIC.items()}

INSTRUMENTS = "instruments"
FEED_EVENTS = "feed_events"
