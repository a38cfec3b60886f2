"""Kafka to Postgres and S3. One thin spark-submit entry per job; pure DataFrame functions between."""
