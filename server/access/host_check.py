"""Refuse foreign hosts, foreign origins, and overlong URLs and headers before routing."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from core.settings import is_loopback
from server.errors import problem

MAX_URL_BYTES = 8000
"""Maximum length of path and query, in bytes."""

MAX_HEADER_BYTES = 16_384
"""Maximum length of all names and values of headers, in bytes."""

PROBES = {"/healthz", "/readyz"}
"""Paths that an HTTP/1.0 client may request without `Host`, as checks of load balancers do."""


class HostCheck:
    """ASGI middleware for HTTP and WebSocket; a refused WebSocket is never opened.

    A browser sends the requesting site in `Origin`, for every WebSocket too. It must be the server's
    own origin or one of `origins`. Programs send none. If `on_loopback`, `Host` must be loopback or
    the host of one of `origins`: any site can point its own name at 127.0.0.1, and would then have
    the same origin as the server.
    """

    def __init__(self, app: ASGIApp, *, origins: Sequence[str], on_loopback: bool) -> None:
        self._app = app
        self._origins = origins
        self._hosts = {urlsplit(origin).hostname for origin in origins}
        self._on_loopback = on_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        is_probe = scope["path"] in PROBES and scope["http_version"] == "1.0" and not host
        if self._on_loopback and not self._is_known(host) and not is_probe:
            return problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Host={host!r}: not loopback, nor listed in SERVER_ORIGINS",
            )
        if origin is not None and not self._is_allowed(origin, host):
            return problem(
                HTTPStatus.FORBIDDEN,
                f"Origin={origin!r}: not this server, nor listed in SERVER_ORIGINS",
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            return problem(
                HTTPStatus.REQUEST_URI_TOO_LONG,
                f"path and query have more than {MAX_URL_BYTES} bytes",
            )
        if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            return problem(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"the headers have more than {MAX_HEADER_BYTES} bytes",
            )
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return is_loopback(name) or name in self._hosts

    def _is_allowed(self, origin: str, host: str) -> bool:
        # Compare without the scheme: a proxy may have terminated TLS.
        return origin in self._origins or origin.partition("://")[2].lower() == host.lower()
