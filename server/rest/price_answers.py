"""Prices for those who ask now and then, instead of following a stream.

    {"id":"5f3c1a2b-311","previous":null,"prices":[every row that matches]}
    {"id":"5f3c1a2b-311","previous":"5f3c1a2b-305","prices":[those that later batches wrote]}

The ids are those of the streams: what one has told, the other goes on from.

Each answer has an ETag. Asked again with it, in If-None-Match, the server says 304 as long as no
batch changed what the answer would say.
"""

from http import HTTPStatus
from typing import Annotated
from zlib import crc32

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from server.fields import Amount, Exchange, Instant, Name
from server.rest.query_connection import QueryConnection
from server.state.price_table import PriceTable
from server.state.prices import Price

LISTED = """
SELECT exchange, symbol FROM instruments
WHERE (%(base)s IS NULL OR base = %(base)s) AND (%(quote)s IS NULL OR quote = %(quote)s)
ORDER BY exchange, symbol
"""


class PriceFilter(BaseModel):
    """Which prices; a parameter that is not given matches all."""

    model_config = ConfigDict(extra="forbid")

    exchange: Exchange | None = None
    base: Annotated[Name | None, Field(description="As the exchange's list has it")] = None
    quote: Annotated[Name | None, Field(description="As the exchange's list has it")] = None
    symbol: Name | None = None
    changed_since: Annotated[
        Name | None,
        Field(description="The `id` of an answer or of a stream: only what later batches wrote"),
    ] = None


class PriceRow(BaseModel):
    """The newest price of a ticker, and the Kafka message that it came in.

    It is for the OpenAPI document; server.state.prices writes the rows.
    """

    exchange: Exchange
    symbol: str
    price: Amount
    bid: Amount | None
    bid_size: Amount | None
    ask: Amount | None
    ask_size: Amount | None
    last_size: Amount | None
    open_24h: Amount | None
    high_24h: Amount | None
    low_24h: Amount | None
    base_volume_24h: Amount | None
    quote_volume_24h: Amount | None
    traded_at: Annotated[Instant | None, Field(description="Of the last trade, if it is told")]
    event_time: Instant
    sequence: int
    received_at: Annotated[Instant, Field(description="When the extractor received it")]
    endpoint: Annotated[str | None, Field(description="The host that sent it")]
    topic: str
    partition: int
    offset: int
    position: Annotated[int, Field(description="Of the ticker in the message")]
    batch_id: Annotated[int, Field(description="The batch that wrote this row")]
    simulated: bool


class Prices(BaseModel):
    id: Annotated[str, Field(description="The state that the prices are as of")]
    previous: Annotated[
        str | None,
        Field(
            description="`changed_since`; null when all rows are here, also because the database has"
            " no such id"
        ),
    ]
    prices: list[PriceRow]


async def answer_with_prices(
    queries: QueryConnection, prices: PriceTable, which: PriceFilter, if_none_match: str | None
) -> Response:
    """Base and quote are looked up in Postgres; all else is in memory.

    Raises HTTPException, 503, when Postgres is asked and does not answer.
    """
    listed = await symbols_listed(queries, which)
    # The instruments may change without a batch.
    symbols = "" if listed is None else f"-{crc32(repr(listed).encode()):08x}"
    etag = f'"{prices.name(prices.id)}{symbols}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    rows = prices.where(which.exchange, which.symbol)
    if listed is not None:
        among = set(listed)
        rows = [row for row in rows if (row.exchange, row.symbol) in among]
    known = prices.batch_named(which.changed_since or "")
    if known is not None:
        rows = [row for row in rows if row.batch_id > known]
    return json_answer(prices_text(prices, known, rows), etag)


def answer_with_price(prices: PriceTable, price: Price, if_none_match: str | None) -> Response:
    etag = f'"{prices.name(price.batch_id)}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    return json_answer(price.json, etag)


def no_price(exchange: Exchange, symbol: str) -> HTTPException:
    """404, with the name."""
    return HTTPException(
        HTTPStatus.NOT_FOUND, f"symbol={symbol!r}: {exchange} has sent no price of it"
    )


async def symbols_listed(
    queries: QueryConnection, which: PriceFilter
) -> list[tuple[str, str]] | None:
    """(exchange, symbol) of the base and quote that are asked for; None when neither is."""
    if which.base is None and which.quote is None:
        return None
    rows = await queries.rows(LISTED, {"base": which.base, "quote": which.quote})
    return [(exchange, symbol) for exchange, symbol in rows]


def prices_text(prices: PriceTable, known: int | None, rows: list[Price]) -> str:
    previous = "null" if known is None else f'"{prices.name(known)}"'
    array = ",".join(row.json for row in rows)
    return f'{{"id":"{prices.name(prices.id)}","previous":{previous},"prices":[{array}]}}'


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether the client has it. The comparison is the weak one: a proxy may have put W/ before."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def json_answer(text: str, etag: str) -> Response:
    return Response(text, media_type="application/json", headers={"ETag": etag})
