"""Comparison of tables and bucket with what Kafka and raw/ hold."""
