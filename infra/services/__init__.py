"""Kafka, MinIO and Postgres; each module implements `infra.up.Service`."""
