"""Complete the OpenAPI document with what FastAPI can't derive from the routes."""

from typing import Any

from fastapi import FastAPI

from server.errors import PROBLEM

TAGS = {
    "prices": "The newest price of each symbol, and where it came from",
    "streams": "Prices as they change. /asyncapi.json describes the messages, and the WebSocket at /ws",
    "markets": "Instruments, candles, and exchanges side by side",
    "operations": "State of the feeds and of the server",
}


def complete(app: FastAPI) -> None:
    """Add the schema of problems. Call it after adding all routes; the document is then cached."""
    document: dict[str, Any] = app.openapi()
    document["components"]["schemas"]["Problem"] = PROBLEM
