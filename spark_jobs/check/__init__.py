"""Compare tables and bucket with the records in Kafka and raw/."""
