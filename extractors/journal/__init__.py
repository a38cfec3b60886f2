"""Append-only segments on the local disk, between receipt and both followers."""
