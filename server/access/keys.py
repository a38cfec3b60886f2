"""Require the API key, or a session cookie that was issued for it.

Programs send the key with each request, as `Authorization: Bearer …` or `X-API-Key: …`. A browser
can't set headers on a WebSocket or an EventSource. It sends the key once, to POST /session, and gets
a cookie that no script can read and no other site can send. The key is never part of a URL.
"""

import hashlib
import hmac
import time
from collections.abc import Callable, Set
from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import problem

COOKIE = "session"

SESSION_SECONDS = 30 * 24 * 3600
"""Lifetime of a session, checked at each request; an open stream outlives it. A new key ends all
sessions."""


class ApiKey:
    """Check keys and sessions. All comparisons take constant time."""

    def __init__(self, key: str, now: Callable[[], float] = time.time) -> None:
        self._key = key.encode()
        self._now = now

    def admits(self, connection: HTTPConnection) -> bool:
        """Return whether the key or a session is valid; one valid credential is enough."""
        scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
        bearer = credentials.strip() if scheme.lower() == "bearer" else ""
        candidates = (bearer, connection.headers.get("x-api-key", ""))
        is_key = [hmac.compare_digest(self._key, each.encode()) for each in candidates]
        return any(is_key) or self._is_session(connection.cookies.get(COOKIE, ""))

    def session(self) -> str:
        """Return a new session: its end in Unix seconds, signed with the key: `1763950000.3f6c…`."""
        return self._signed(str(int(self._now()) + SESSION_SECONDS))

    def _is_session(self, value: str) -> bool:
        end, _, _ = value.partition(".")
        is_signed = hmac.compare_digest(self._signed(end).encode(), value.encode())
        return is_signed and int(end) > self._now()

    def _signed(self, end: str) -> str:
        signature = hmac.new(self._key, f"session until {end}".encode(), hashlib.sha256)
        return f"{end}.{signature.hexdigest()}"


class KeyRequired:
    """ASGI middleware for HTTP and WebSocket: 401 without the key, except on the open paths."""

    def __init__(self, app: ASGIApp, *, key: ApiKey, open_paths: Set[str]) -> None:
        self._app = app
        self._key = key
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_request = scope["type"] in ("http", "websocket")
        if not is_request or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
        elif self._key.admits(HTTPConnection(scope)):
            await self._app(scope, receive, send)
        else:
            refusal = problem(
                HTTPStatus.UNAUTHORIZED,
                "the API key is missing or wrong: send it as Authorization: Bearer, or as X-API-Key",
                {"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)
