"""Define the routes below /api."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from server.errors import documented, unavailable
from server.fields import Exchange, Name, SelectionQuery
from server.price_row import PriceRow
from server.rest.candles import CandleQuery, Candles, candles
from server.rest.compare import CompareFilter, Comparisons, compare
from server.rest.etags import answer_with
from server.rest.feeds import FeedFilter, Feeds, feeds
from server.rest.history import HistorySpan, history
from server.rest.history_formats import FORMATS
from server.rest.instruments import Instruments, instruments
from server.rest.last_day import LastDay, answer_with_last_day, compute_last_day
from server.rest.once_a_minute import OnceAMinute
from server.rest.price_answers import (
    PriceFilter,
    Prices,
    answer_with_price,
    answer_with_prices,
    no_price,
)
from server.rest.price_source import PriceSource, price_source
from server.rest.query_connection import QueryConnection
from server.rest.status import Status, status
from server.state.price_table import PriceTable
from server.streams.hub import Hub
from server.streams.stream import IS_HEAD

IfNoneMatch = Annotated[
    str | None, Header(description="The ETag of an earlier answer; 304 if it has not changed")
]

TAG = {"ETag": {"description": "For If-None-Match", "schema": {"type": "string"}}}
AGE = {
    "Age": {
        "description": "Seconds since Postgres became unavailable; absent while it is available",
        "schema": {"type": "integer"},
    },
}


HISTORY: dict[int | str, dict[str, Any]] = {
    200: {"description": "The candles", "content": {each: {} for each, _ in FORMATS.values()}}
}


def tagged_responses(
    model: type[Any], headers: Mapping[str, Any] = TAG
) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route whose answers have an ETag."""
    return {
        200: {"model": model, "headers": headers},
        304: {"description": "Nothing has changed", "headers": headers},
    }


def cached_responses(model: type[Any]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that is answered from memory."""
    return tagged_responses(model, TAG | AGE)


def create_api(hub: Hub, queries: QueryConnection) -> APIRouter:
    """Return the routes. Live prices come from the hub's memory, everything else from Postgres."""
    api = APIRouter(
        prefix="/api",
        responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    )
    add_prices(api, hub, queries)
    add_markets(api, hub, queries)
    add_operations(api, hub, queries)
    return api


def add_prices(api: APIRouter, hub: Hub, queries: QueryConnection) -> None:
    @api.get(
        "/prices", tags=["prices"], response_class=Response, responses=cached_responses(Prices)
    )
    async def get_prices(
        which: Annotated[PriceFilter, Query()], if_none_match: IfNoneMatch = None
    ) -> Response:
        """Return the newest price of each symbol, with the Kafka message that it came in."""
        answer = answer_with_prices(known_prices(hub), which, if_none_match)
        return with_age(answer, hub.away_since)

    # Before the next route, which would match this path too: a symbol may contain a slash.
    @api.get(
        "/prices/{exchange}/{symbol:path}/source",
        tags=["prices"],
        responses=documented(HTTPStatus.NOT_FOUND),
    )
    async def get_price_source(exchange: Exchange, symbol: Annotated[Name, Path()]) -> PriceSource:
        """Return the Kafka offset of the newest price, and the command that prints its original text."""
        return await price_source(queries, exchange, symbol)

    @api.get(
        "/prices/{exchange}/{symbol:path}",
        tags=["prices"],
        response_class=Response,
        responses=cached_responses(PriceRow) | documented(HTTPStatus.NOT_FOUND),
    )
    async def get_price(
        exchange: Exchange, symbol: Annotated[Name, Path()], if_none_match: IfNoneMatch = None
    ) -> Response:
        """Return the newest price of one symbol."""
        prices = known_prices(hub)
        price = prices.get(exchange, symbol)
        if price is None:
            raise no_price(exchange, symbol)
        answer = answer_with_price(prices, price, if_none_match)
        return with_age(answer, hub.away_since)


def add_markets(api: APIRouter, hub: Hub, queries: QueryConnection) -> None:
    last_day = OnceAMinute(
        lambda now, before: compute_last_day(queries, known_prices(hub), now, before)
    )

    @api.get(
        "/instruments",
        tags=["markets"],
        response_class=Response,
        responses=tagged_responses(Instruments),
    )
    async def get_instruments(
        which: Annotated[SelectionQuery, Query()], if_none_match: IfNoneMatch = None
    ) -> Response:
        """Return the instruments of the exchanges: base, quote and trading status of each symbol."""
        return answer_with(await instruments(queries, which.selection()), if_none_match)

    @api.get(
        "/candles/{exchange}/{symbol:path}",
        tags=["markets"],
        response_class=Response,
        responses=tagged_responses(Candles) | documented(HTTPStatus.NOT_FOUND),
    )
    async def get_candles(
        exchange: Exchange,
        symbol: Annotated[Name, Path()],
        asked: Annotated[CandleQuery, Query()],
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Return candles: ours where the feed was complete, otherwise the exchange's."""
        newest = None if hub.prices is None else hub.prices.newest_received(exchange)
        return answer_with(await candles(queries, exchange, symbol, asked, newest), if_none_match)

    @api.get(
        "/history/{exchange}/{symbol:path}",
        tags=["markets"],
        response_class=StreamingResponse,
        responses=HISTORY | documented(HTTPStatus.NOT_FOUND),
    )
    async def get_history(
        exchange: Exchange,
        symbol: Annotated[Name, Path()],
        span: Annotated[HistorySpan, Query()],
        request: Request,
    ) -> StreamingResponse:
        """Return the candles of a long span as CSV, as an Arrow stream or as a Parquet file."""
        newest = None if hub.prices is None else hub.prices.newest_received(exchange)
        is_head = bool(request.scope.get(IS_HEAD))
        return await history(queries, exchange, symbol, span, newest, is_head=is_head)

    @api.get(
        "/last-day",
        tags=["markets"],
        response_class=Response,
        responses=tagged_responses(LastDay),
    )
    async def get_last_day(
        which: Annotated[SelectionQuery, Query()], if_none_match: IfNoneMatch = None
    ) -> Response:
        """Return the last 24 full hours of each symbol, computed at most once a minute for all clients."""
        prices = known_prices(hub)
        require_postgres(hub)
        return answer_with_last_day(
            await last_day.value(), prices, which.selection(), if_none_match
        )

    @api.get("/compare", tags=["markets"], responses={200: {"headers": AGE}})
    async def get_comparisons(
        which: Annotated[CompareFilter, Query()], response: Response
    ) -> Comparisons:
        """Return prices of the same base and quote on several exchanges, side by side."""
        with_age(response, hub.away_since)
        return compare(known_prices(hub), which)


def add_operations(api: APIRouter, hub: Hub, queries: QueryConnection) -> None:
    @api.get("/feeds", tags=["operations"])
    async def get_feeds(which: Annotated[FeedFilter, Query()]) -> Feeds:
        """Return source, age, unreadable share and recent events of each feed."""
        return await feeds(queries, known_prices(hub), hub.unreadable, which)

    @api.get("/status", tags=["operations"])
    async def get_status() -> Status:
        """Return the state of the pipeline: feeds, batches, dead letters and sizes of tables."""
        return await status(queries, known_prices(hub))


def known_prices(hub: Hub) -> PriceTable:
    if hub.prices is None:
        raise unavailable("Postgres has not been read yet")
    return hub.prices


def require_postgres(hub: Hub) -> None:
    """Raise HTTPException: 503 while Postgres is unavailable."""
    if hub.away_since is not None:
        raise unavailable("Postgres does not answer")


def with_age(answer: Response, database_away_since: datetime | None) -> Response:
    """Return the answer with the header `Age` if Postgres is unavailable."""
    if database_away_since is not None:
        seconds = (datetime.now(UTC) - database_away_since).total_seconds()
        answer.headers["Age"] = str(round(seconds))
    return answer
