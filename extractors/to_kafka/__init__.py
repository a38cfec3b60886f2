"""Delivery of the journal to Kafka, each item once and in order."""
