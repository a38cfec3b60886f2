"""Answers of the REST API."""
