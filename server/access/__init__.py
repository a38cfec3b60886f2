"""Middleware of every request: form, Host and Origin checks, API key, stream limits, compression."""
