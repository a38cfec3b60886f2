"""Sinks into Postgres, and the upkeep of its tables."""
