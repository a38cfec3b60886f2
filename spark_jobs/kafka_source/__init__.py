"""Kafka's records, offsets and topic ids."""
