"""The application: which address answers with what."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from server.api import create_api
from server.database import DatabaseReader
from server.hub import Hub
from server.live_prices import Reading
from server.problems import answer_with_problems
from server.query_connection import QueryConnection
from server.stream import stream

PAGE = Path(__file__).parent / "page"


def create_app(reader_database_url: str, hub: Hub) -> FastAPI:
    """The app reads Postgres from its start to its end, and publishes in the hub."""
    queries = QueryConnection(reader_database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()

        def publish(reading: Reading) -> None:
            loop.call_soon_threadsafe(hub.publish, reading)

        app.state.reader = DatabaseReader(reader_database_url, publish)
        app.state.reader.start()
        yield
        await asyncio.to_thread(app.state.reader.stop)
        queries.close()

    app = FastAPI(title="Live crypto prices", docs_url=None, redoc_url=None, lifespan=lifespan)
    answer_with_problems(app)
    page = StaticFiles(directory=PAGE, html=True)

    app.include_router(create_api(hub, queries))

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await stream(websocket, hub)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        if not app.state.reader.is_alive():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database reader has ended")
        return {"status": "ok"}

    @app.api_route("/{file:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def static(request: Request) -> Response:
        return await page.get_response(page.get_path(request.scope), request.scope)

    return app
