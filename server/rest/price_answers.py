"""Return prices to clients that poll instead of following a stream.

    {"id":"5f3c1a2b-311","previous":null,"prices":[every row that matches]}
    {"id":"5f3c1a2b-311","previous":"5f3c1a2b-305","prices":[those that later batches wrote]}

The ids are those of the streams, so a client can switch between polling and a stream without a gap.

Each answer has an ETag. A request that has it in If-None-Match is answered with 304 until the ETag
changes.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from server.fields import Exchange, Name, PriceFields, SelectionQuery, field_set
from server.price_row import PriceRow
from server.rest.etags import is_known, json_answer, not_modified
from server.state.price_table import PriceTable
from server.state.prices import Price, selected


class PriceFilter(SelectionQuery):
    """Filter of prices; a missing parameter matches all."""

    fields: PriceFields | None = None
    changed_since: Annotated[
        Name | None,
        Field(
            description="The `id` of an answer or of a stream: return only rows of later batches"
        ),
    ] = None


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


def answer_with_prices(
    prices: PriceTable, which: PriceFilter, if_none_match: str | None
) -> Response:
    """Return the selected prices from memory."""
    etag = f'"{prices.name(prices.id)}"'
    if is_known(etag, if_none_match):
        return not_modified(etag)
    rows = prices.where(which.selection())
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


def prices_text(
    prices: PriceTable, known: int | None, rows: list[Price], fields: frozenset[str] | None
) -> str:
    previous = "null" if known is None else f'"{prices.name(known)}"'
    array = ",".join(row.json if fields is None else selected(row, fields) for row in rows)
    return f'{{"id":"{prices.name(prices.id)}","previous":{previous},"prices":[{array}]}}'
