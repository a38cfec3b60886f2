"""Bring requests into the form that the routes expect, before any other check.

- A target in absolute form, `GET http://127.0.0.1:8000/healthz`, is split into `Host` and path (RFC 9112,
  section 3.2.2). Clients send it to proxies, and a proxy may pass it on.
- HEAD is routed as GET. uvicorn sends the headers without the body.
"""

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from server.streams.stream import IS_HEAD


class RequestForm:
    """ASGI middleware for HTTP and WebSocket. uvicorn's own scope stays unchanged."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = _with_origin_form(scope)
        if scope["type"] == "http":
            is_head = scope["method"] == "HEAD"
            scope = {**scope, IS_HEAD: is_head, "method": "GET" if is_head else scope["method"]}
        await self._app(scope, receive, send)


def _with_origin_form(scope: Scope) -> Scope:
    scheme, separator, rest = scope["raw_path"].partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https", b"ws", b"wss"):
        return scope
    authority, slash, path = rest.partition(b"/")
    raw_path = slash + path or b"/"
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "path": unquote(raw_path.decode("ascii")),
        "raw_path": raw_path,
        "headers": [(b"host", authority), *headers],
    }
