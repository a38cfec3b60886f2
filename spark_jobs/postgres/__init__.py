"""Sinks that write to Postgres, and the upkeep of its tables."""
