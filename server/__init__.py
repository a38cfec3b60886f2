"""Serve live prices from Postgres over REST, WebSocket and SSE streams, and as a web page."""
