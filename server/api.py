"""The REST addresses: which answers with what."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict

from server.candles import Candles, CandleSpan, candles
from server.compare import CompareFilter, Comparisons, compare
from server.feeds import FeedFilter, Feeds, feeds
from server.fields import Exchange, Name
from server.hub import Hub
from server.instruments import InstrumentFilter, Instruments, instruments
from server.live_prices import LivePrices
from server.problems import documented, unavailable
from server.query_connection import QueryConnection


class PriceFilter(BaseModel):
    """Which prices; a parameter that is not given matches all."""

    model_config = ConfigDict(extra="forbid")

    exchange: Exchange | None = None
    symbol: Name | None = None


def create_api(hub: Hub, queries: QueryConnection) -> APIRouter:
    """Live prices come from the hub's memory, all else from Postgres."""
    api = APIRouter(
        prefix="/api",
        responses=documented(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    )

    def known_prices() -> LivePrices:
        if hub.prices is None:
            raise unavailable("Postgres has not been read yet")
        return hub.prices

    @api.get("/prices")
    async def get_prices(which: Annotated[PriceFilter, Query()]) -> Response:
        """The newest price of each ticker, with the message that it came in."""
        answer = known_prices().answer(which.exchange, which.symbol)
        return Response(answer, media_type="application/json")

    @api.get("/instruments")
    async def get_instruments(which: Annotated[InstrumentFilter, Query()]) -> Instruments:
        """What the exchanges list: base and quote of each symbol, and whether it trades."""
        return await instruments(queries, which)

    @api.get("/candles/{exchange}/{symbol}", responses=documented(HTTPStatus.NOT_FOUND))
    async def get_candles(
        exchange: Exchange, symbol: Annotated[Name, Path()], span: Annotated[CandleSpan, Query()]
    ) -> Candles:
        """Candles of ticker updates, not of trades; a minute without updates has none."""
        return await candles(queries, exchange, symbol, span)

    @api.get("/compare")
    async def get_comparisons(which: Annotated[CompareFilter, Query()]) -> Comparisons:
        """The same base and quote on both exchanges, side by side."""
        return await compare(queries, known_prices(), which)

    @api.get("/feeds")
    async def get_feeds(which: Annotated[FeedFilter, Query()]) -> Feeds:
        """Of each exchange: where its prices come from, how old they are, what befell it."""
        return await feeds(queries, known_prices(), which)

    return api
