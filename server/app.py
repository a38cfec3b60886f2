"""The application: which address answers with what."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request, Response, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from server.api import create_api
from server.database import DatabaseReader
from server.hub import Hub
from server.problems import answer_with_problems
from server.query_connection import QueryConnection
from server.stream import EventStream, stream_to_websocket
from server.subscription import StreamQuery

PAGE = Path(__file__).parent / "page"


def create_app(reader_database_url: str, hub: Hub) -> FastAPI:
    """The app reads Postgres from its start to its end, and publishes in the hub."""
    queries = QueryConnection(reader_database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def on_loop(tell: Callable[..., object]) -> Callable[..., object]:
            return lambda *what: loop.call_soon_threadsafe(tell, *what)

        app.state.reader = DatabaseReader(
            reader_database_url,
            publish=on_loop(hub.publish),
            away=on_loop(hub.postgres_is_away),
            back=on_loop(hub.postgres_is_back),
        )
        app.state.reader.start()
        looking = asyncio.create_task(hub.look_after_clients())
        yield
        looking.cancel()
        await asyncio.to_thread(app.state.reader.stop)
        queries.close()

    app = FastAPI(title="Live crypto prices", docs_url=None, redoc_url=None, lifespan=lifespan)
    answer_with_problems(app)
    page = StaticFiles(directory=PAGE, html=True)

    app.include_router(create_api(hub, queries))

    @app.websocket("/ws")
    async def ws(websocket: WebSocket, query: Annotated[StreamQuery, Query()]) -> None:
        await stream_to_websocket(websocket, hub, query)

    @app.get("/stream", response_class=EventStream)
    async def events(
        query: Annotated[StreamQuery, Query()],
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> EventStream:
        """Server-sent events: a snapshot, then what each batch changed. See docs/server.md."""
        return EventStream(hub, query, last_event_id)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        if not app.state.reader.is_alive():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database reader has ended")
        return {"status": "ok"}

    @app.api_route("/{file:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def static(request: Request) -> Response:
        return await page.get_response(page.get_path(request.scope), request.scope)

    return app
