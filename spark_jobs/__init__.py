"""Spark jobs from Kafka to Postgres and S3: a thin spark-submit entry per job, and pure functions."""
