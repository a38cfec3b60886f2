"""Postgres to people: live prices as REST, as a WebSocket stream and as a page."""
