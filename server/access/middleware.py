"""Add the middleware that every request passes before it reaches a route, in this order:

form ─► count ─► host, origin and size ─► CORS ─► key ─► stream limits ─► compression ─► route
"""

from collections.abc import Set
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.middleware.cors import CORSMiddleware

from core.settings import Settings, is_loopback
from server.access.compression import Compression
from server.access.host_check import HostCheck
from server.access.keys import COOKIE, SESSION_SECONDS, ApiKey, KeyRequired
from server.access.request_form import RequestForm
from server.access.stream_limits import StreamLimits
from server.errors import documented
from server.metrics import CountRequests, Metrics

KEY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}

COMMON_RESPONSES = documented(
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""OpenAPI responses of every route."""


def protect(app: FastAPI, settings: Settings, metrics: Metrics, open_paths: Set[str]) -> None:
    """Add all middleware. Only the open paths are served without the key. Call after adding routes."""
    origins = settings.server_origins.split(",") if settings.server_origins else []
    key = ApiKey(settings.server_api_key) if settings.server_api_key else None
    add_session(app, key)
    # The middleware added last runs first.
    app.add_middleware(Compression)
    app.add_middleware(
        StreamLimits,
        total=settings.server_stream_limit,
        per_address=settings.server_stream_limit_per_address,
    )
    if key is not None:
        app.add_middleware(KeyRequired, key=key, open_paths=open_paths)
        document_key(app, open_paths)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "If-None-Match", "Last-Event-ID"],
            allow_credentials=True,
            expose_headers=["ETag", "Age", "Retry-After"],
        )
    app.add_middleware(HostCheck, origins=origins, on_loopback=is_loopback(settings.server_host))
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(RequestForm)


def add_session(app: FastAPI, key: ApiKey | None) -> None:
    @app.post("/session", status_code=HTTPStatus.NO_CONTENT)
    async def begin_session(request: Request, response: Response) -> None:
        """Set a session cookie for a browser that sends the key.

        A browser that sends a valid session cookie gets a new one, so its session is extended. No cookie is
        set if the server requires no key.
        """
        if key is not None:
            response.set_cookie(
                COOKIE,
                key.session(),
                max_age=SESSION_SECONDS,
                secure=request.url.scheme == "https",
                httponly=True,
                samesite="strict",
            )


def document_key(app: FastAPI, open_paths: Set[str]) -> None:
    document = app.openapi()
    document["components"]["securitySchemes"] = KEY_SCHEMES
    for path, operations in document["paths"].items():
        if path not in open_paths:
            for operation in operations.values():
                operation["security"] = [{scheme: []} for scheme in KEY_SCHEMES]
                operation["responses"] |= {
                    str(status): answer
                    for status, answer in documented(HTTPStatus.UNAUTHORIZED).items()
                }
