"""Archive of every Kafka record, unchanged, in parquet."""
