"""Define the names of the Kafka topics, and the retention of the raw ones."""

from exchanges import EXCHANGES

EXCHANGE_OF_TOPIC = {exchange.raw_topic: exchange.name for exchange in EXCHANGES}
TOPIC_OF_EXCHANGE = {exchange: topic for topic, exchange in EXCHANGE_OF_TOPIC.items()}

RAW_TOPIC_DAYS = 7
"""Retention of the raw topics, in days."""

INSTRUMENTS = "instruments"
FEED_EVENTS = "feed_events"
EXCHANGE_CANDLES = "exchange_candles"
