"""Describe the streams as an AsyncAPI 3 document, from the models of their parameters and messages."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server.streams.message_types import MESSAGES
from server.streams.subscription import StreamQuery

SCHEMAS = "#/components/schemas/{model}"

DESCRIPTION = """\
Both streams send the same messages: first a snapshot, or the changes since the id in `since`, then the
changes of each batch. In a snapshot, and while `id` is null, `previous` is null. In any other message it is
the last `id` that was not null, or at first the one in `since`; if it is not, a message is missing."""


def document(host: str, *, has_tls: bool) -> dict[str, Any]:
    """Return the document of the server that clients know as `host`, for example 127.0.0.1:8000."""
    _, schemas = models_json_schema(
        [(model, "validation") for model in MESSAGES.values()], ref_template=SCHEMAS
    )
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Live crypto prices", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "websocket": {"host": host, "protocol": "wss" if has_tls else "ws"},
            "events": {"host": host, "protocol": "https" if has_tls else "http"},
        },
        "channels": {
            "ws": _channel("/ws", "websocket", "WebSocket, one text frame per message")
            | {
                "bindings": {
                    "ws": {"method": "GET", "query": _parameters(), "bindingVersion": "0.1.0"}
                }
            },
            "stream": _channel(
                "/stream", "events", "Server-sent events, with the id of each message"
            ),
        },
        "operations": {
            "sendToWebSocket": _sending("ws"),
            "sendEvents": _sending("stream")
            | {
                "bindings": {
                    "http": {"method": "GET", "query": _parameters(), "bindingVersion": "0.3.0"}
                }
            },
        },
        "components": {
            "messages": {name: _message(name, model) for name, model in MESSAGES.items()},
            "schemas": schemas["$defs"],
        },
    }


def _channel(address: str, server: str, description: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in MESSAGES},
    }


def _sending(channel: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in MESSAGES],
    }


def _message(name: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": (model.__doc__ or "").strip(),
        "payload": {"$ref": SCHEMAS.format(model=model.__name__)},
    }


def _parameters() -> dict[str, Any]:
    """Return the schema of the query parameters, without references."""
    return StreamQuery.model_json_schema()
