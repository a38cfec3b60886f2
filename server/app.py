"""Build the FastAPI application: its routes, its middleware and the tasks that run beside it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response, WebSocket
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from core.settings import Settings
from server import asyncapi
from server.access.middleware import COMMON_RESPONSES, protect
from server.errors import documented, problem, register_problem_handlers
from server.metrics import Metrics
from server.openapi import TAGS, complete
from server.repeats import refuse_repeats
from server.rest.api import create_api
from server.rest.health import create_operations
from server.rest.query_connection import QueryConnection
from server.state.listener import Listener
from server.state.price_table import Reading
from server.streams.hub import Hub
from server.streams.stream import EventStream, stream_to_websocket
from server.streams.subscription import StreamQuery

log = logging.getLogger(__name__)

PAGE = Path(__file__).parent / "page"

DOCS = StaticFiles(
    directory=Path(__file__).parent / "docs", packages=[("fastapi_swagger", "resources")], html=True
)
"""Swagger UI: its own files from the wheel, and our start page."""

CHART_LIBRARY = StaticFiles(packages=[("lwcharts", "vendor")])
"""TradingView's Lightweight Charts, from the wheel."""

EVENTS = documented(
    HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE
) | {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}

OPEN_PATHS = {
    *("/", "/healthz", "/readyz", "/openapi.json", "/asyncapi.json"),
    *(f"/{file.relative_to(PAGE).as_posix()}" for file in PAGE.rglob("*") if file.is_file()),
    "/vendor/lightweight-charts.standalone.production.js",
    *("/docs", "/docs/", "/docs/start.js", "/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"),
}
"""Paths served without the key: the page, which asks for it, the health checks of a load balancer, and
the documents, which describe how to send the key."""


def create_app(settings: Settings, hub: Hub) -> FastAPI:
    """Return an app that reads Postgres from its startup to its shutdown and publishes to the hub."""
    queries = QueryConnection(settings.reader_database_url)
    metrics = Metrics()
    loop: asyncio.AbstractEventLoop

    def on_loop(call: Callable[..., object]) -> Callable[..., object]:
        return lambda *arguments: loop.call_soon_threadsafe(call, *arguments)

    async def publish(reading: Reading) -> None:
        hub.publish(reading)
        metrics.published(reading)

    def publish_and_wait(reading: Reading) -> None:
        """Block the listener, so readings do not queue up: later commits join the next reading."""
        asyncio.run_coroutine_threadsafe(publish(reading), loop).result()

    listener = Listener(
        settings.reader_database_url,
        publish=publish_and_wait,
        away=on_loop(hub.postgres_is_away),
        back=on_loop(hub.postgres_is_back),
        candles_wanted=lambda: hub.candles_wanted,
        feeds_read=on_loop(hub.feeds_read),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal loop
        loop = asyncio.get_running_loop()
        listener.start()
        client_checks = asyncio.create_task(hub.check_clients())
        client_checks.add_done_callback(log_failure)
        yield
        client_checks.cancel()
        await asyncio.to_thread(listener.stop)
        queries.close()

    app = FastAPI(
        title="Live crypto prices",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=COMMON_RESPONSES,
        dependencies=[Depends(refuse_repeats)],
        servers=[{"url": "/", "description": "This server"}],
        openapi_tags=[{"name": name, "description": text} for name, text in TAGS.items()],
    )
    register_problem_handlers(app)
    page = StaticFiles(directory=PAGE, html=True)

    app.include_router(create_api(hub, queries))
    app.include_router(create_operations(settings, hub, listener, metrics))

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        await stream_to_websocket(websocket, hub, query)

    @app.get("/stream", response_class=Response, responses=EVENTS, tags=["streams"])
    async def events(
        query: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> EventStream:
        """Send events: a snapshot, then the changes of each batch. /asyncapi.json describes them."""
        return EventStream(hub, query, last_event_id)

    @app.get("/asyncapi.json", tags=["streams"])
    async def get_asyncapi(request: Request) -> dict[str, Any]:
        """Describe the messages of /stream and of the WebSocket at /ws, as AsyncAPI 3."""
        return asyncapi.document(request.url.netloc, has_tls=request.url.scheme == "https")

    @app.websocket("/{path:path}")
    async def nowhere(websocket: WebSocket) -> None:
        await websocket.send_denial_response(
            problem(HTTPStatus.NOT_FOUND, "WebSockets are served at /ws")
        )

    app.add_api_route("/docs", to_the_documents, include_in_schema=False)
    app.mount("/docs", DOCS)
    app.mount("/vendor", CHART_LIBRARY)

    @app.get("/{file:path}", include_in_schema=False)
    async def static(request: Request) -> Response:
        return await page.get_response(page.get_path(request.scope), request.scope)

    protect(app, settings, metrics, OPEN_PATHS)
    complete(app)
    return app


async def to_the_documents() -> Response:
    # Relative, so that it works behind a proxy's path too.
    return RedirectResponse("docs/")


def log_failure(client_checks: asyncio.Task[None]) -> None:
    """Log at once why the checks ended. asyncio alone would log it when the server ends."""
    if not client_checks.cancelled() and (error := client_checks.exception()) is not None:
        log.error("client checks failed", exc_info=error)
