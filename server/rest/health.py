"""Define the routes for operations: /healthz, /readyz and /metrics."""

from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response
from starlette.exceptions import HTTPException

from core.settings import Settings
from server.errors import documented
from server.metrics import Metrics
from server.rest.readiness import Readiness, age_limits, newest_price_age, readiness
from server.state.listener import Listener
from server.streams.hub import Hub


def create_operations(
    settings: Settings, hub: Hub, listener: Listener, metrics: Metrics
) -> APIRouter:
    operations = APIRouter(tags=["operations"])
    limits = age_limits(settings)
    metrics.watch_streams(hub.traffic)
    metrics.watch_database(lambda: hub.prices is not None and hub.away_since is None)
    for exchange, limit in limits.items():
        metrics.watch_newest_price(exchange, limit, partial(age_now, hub, exchange))
        metrics.watch_unreadable(exchange, partial(unreadable_now, hub, exchange))

    @operations.get("/healthz", responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
    async def healthz() -> dict[str, str]:
        """Liveness; healthy even while Postgres is unavailable."""
        if not listener.is_alive():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database listener has stopped")
        return {"status": "ok"}

    @operations.get("/readyz", responses={503: {"model": Readiness}})
    async def readyz(response: Response) -> Readiness:
        """Readiness: whether prices are live.

        503 while Postgres is unavailable, an exchange's prices are old, or most of its items unreadable.
        """
        now = datetime.now(UTC)
        state = readiness(hub.prices, hub.unreadable, hub.away_since, limits, now)
        response.status_code = 200 if state.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return state

    @operations.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {
                "content": {
                    media_type: {"schema": {"type": "string"}}
                    for media_type in ("text/plain", "application/openmetrics-text")
                }
            }
        },
    )
    async def get_metrics(accept: Annotated[str, Header()] = "") -> Response:
        """Return metrics in Prometheus' text format, or as OpenMetrics if `Accept` lists it."""
        text, media_type = metrics.text(accept)
        return Response(text, media_type=media_type)

    return operations


def age_now(hub: Hub, exchange: str) -> float | None:
    return newest_price_age(hub.prices, exchange, datetime.now(UTC))


def unreadable_now(hub: Hub, exchange: str) -> float | None:
    found = hub.unreadable.get(exchange)
    return None if found is None else found.share
