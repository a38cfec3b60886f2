"""Return prices to clients that poll instead of following a stream.

    {"id":"5f3c1a2b-311","previous":null,"prices":[every row that matches]}
    {"id":"5f3c1a2b-311","previous":"5f3c1a2b-305","prices":[those that later batches wrote]}

The ids are those of the streams, so a client can switch between polling and a stream without a gap.

Each answer has an ETag. A request that has it in If-None-Match is answered with 304 until the ETag
changes.
"""

from http import HTTPStatus
from typing import Annotated
from zlib import crc32

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from server.fields import Amount, Exchange, Instant, Name, PriceFields, field_set
from server.rest.query_connection import QueryConnection
from server.state.price_table import PriceTable
from server.state.prices import KEY, Price, selected

LISTED = """
SELECT exchange, symbol FROM instruments
WHERE (%(base)s IS NULL OR base = %(base)s) AND (%(quote)s IS NULL OR quote = %(quote)s)
ORDER BY exchange, symbol
"""


class PriceFilter(BaseModel):
    """Filter of prices; a missing parameter matches all."""

    model_config = ConfigDict(extra="forbid")

    exchange: Exchange | None = None
    base: Annotated[Name | None, Field(description="As listed by the exchange")] = None
    quote: Annotated[Name | None, Field(description="As listed by the exchange")] = None
    symbol: Name | None = None
    fields: PriceFields | None = None
    changed_since: Annotated[
        Name | None,
        Field(
            description="The `id` of an answer or of a stream: return only rows of later batches"
        ),
    ] = None


class PriceRow(BaseModel):
    """The newest price of a symbol, and the Kafka message that it came in.

    Used only for the OpenAPI document; server.state.prices writes the rows. With `fields` an answer of
    /api/prices has only these.
    """

    model_config = ConfigDict(json_schema_extra={"required": list(KEY)})

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
    traded_at: Annotated[
        Instant | None,
        Field(description="Time of the last trade; null if the exchange does not send it"),
    ]
    event_time: Instant
    sequence: int
    received_at: Annotated[Instant, Field(description="When the extractor received it")]
    endpoint: Annotated[str | None, Field(description="The host that sent it")]
    topic: str
    partition: int
    offset: int
    position: Annotated[int, Field(description="Position of the ticker in the message")]
    batch_id: Annotated[int, Field(description="The batch that wrote this row")]
    simulated: bool


class Prices(BaseModel):
    id: Annotated[str, Field(description="The `id` of the state that the prices are from")]
    previous: Annotated[
        str | None,
        Field(
            description="`changed_since`; null if the answer has all rows, for example because the id is"
            " unknown to this database"
        ),
    ]
    prices: list[PriceRow]


async def answer_with_prices(
    queries: QueryConnection, prices: PriceTable, which: PriceFilter, if_none_match: str | None
) -> Response:
    """Return the matching prices from memory; only `base` and `quote` need a query to Postgres.

    Raise HTTPException (503) if that query fails.
    """
    listed = await symbols_listed(queries, which)
    # Include the listed symbols in the ETag, because instruments may change without a batch.
    symbols = "" if listed is None else f"-{crc32(repr(listed).encode()):08x}"
    fields = "" if which.fields is None else f"-{crc32(which.fields.encode()):08x}"
    etag = f'"{prices.name(prices.id)}{symbols}{fields}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    rows = prices.where(which.exchange, which.symbol)
    if listed is not None:
        listed_keys = set(listed)
        rows = [row for row in rows if (row.exchange, row.symbol) in listed_keys]
    known = prices.batch_of_id(which.changed_since or "")
    if known is not None:
        rows = [row for row in rows if row.batch_id > known]
    return json_answer(prices_text(prices, known, rows, field_set(which.fields)), etag)


def answer_with_price(prices: PriceTable, price: Price, if_none_match: str | None) -> Response:
    etag = f'"{prices.name(price.batch_id)}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    return json_answer(price.json, etag)


def no_price(exchange: Exchange, symbol: str) -> HTTPException:
    """Return a 404 error for a symbol without a price."""
    return HTTPException(HTTPStatus.NOT_FOUND, f"symbol={symbol!r}: no price from {exchange} yet")


async def symbols_listed(
    queries: QueryConnection, which: PriceFilter
) -> list[tuple[str, str]] | None:
    """Return (exchange, symbol) of the requested base and quote; None if neither is requested."""
    if which.base is None and which.quote is None:
        return None
    rows = await queries.rows(LISTED, {"base": which.base, "quote": which.quote})
    return [(exchange, symbol) for exchange, symbol in rows]


def prices_text(
    prices: PriceTable, known: int | None, rows: list[Price], fields: frozenset[str] | None
) -> str:
    previous = "null" if known is None else f'"{prices.name(known)}"'
    array = ",".join(row.json if fields is None else selected(row, fields) for row in rows)
    return f'{{"id":"{prices.name(prices.id)}","previous":{previous},"prices":[{array}]}}'


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Return whether the client already has the answer. Ignore W/, which a proxy may have added."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return etag in tags or "*" in tags


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def json_answer(text: str, etag: str) -> Response:
    return Response(text, media_type="application/json", headers={"ETag": etag})
