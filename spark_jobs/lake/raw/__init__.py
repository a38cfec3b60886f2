"""Raw parquet: every Kafka record, as it was."""
