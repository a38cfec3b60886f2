"""Spark jobs from Kafka to Postgres and S3, and commands that check, trace and rebuild what they wrote."""
