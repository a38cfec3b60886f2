"""Build the address of a stream, and tell refusals from failures."""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from websockets.exceptions import InvalidStatus

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
"""Statuses of a handshake that may be different at the next attempt."""


class RefusedError(Exception):
    """The server refuses the request, so that a retry is useless. The text is the server's reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


def stream_address(url: str, parameters: Mapping[str, str | Sequence[str] | None]) -> str:
    """Return the address of the WebSocket of a server.

    A parameter is left out if it is None, and repeated if it has several values. Raise ValueError for
    another scheme than http, https, ws or wss.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ValueError(f"url={url!r}: expected an address such as http://127.0.0.1:8000")
    query = [
        (name, value)
        for name, values in parameters.items()
        if values is not None
        for value in ([values] if isinstance(values, str) else values)
    ]
    path = f"{parts.path.rstrip('/')}/ws"
    return f"{SCHEMES[parts.scheme]}://{parts.netloc}{path}?{urlencode(query)}"


def refusal(error: BaseException) -> RefusedError | None:
    """Return the server's refusal, or None for an error after which a retry is useful."""
    if not isinstance(error, InvalidStatus) or error.response.status_code in TEMPORARY:
        return None
    body = (error.response.body or b"").decode(errors="replace")
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = body[:200]
    return RefusedError(error.response.status_code, detail)
