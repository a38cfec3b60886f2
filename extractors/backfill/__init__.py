"""Request the exchange's own candles for the holes of the feed, and send them to Kafka."""
