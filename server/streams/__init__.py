"""Snapshots and changes to WebSocket and SSE clients."""
