"""Return the instruments that the exchanges list: base, quote and trading status of each symbol."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.fields import Exchange, Instant, Name
from server.rest.query_connection import QueryConnection

INSTRUMENTS = """
SELECT exchange, symbol, base, quote, status, seen_at FROM instruments
WHERE (%(exchange)s IS NULL OR exchange = %(exchange)s)
    AND (%(base)s IS NULL OR base = %(base)s)
    AND (%(quote)s IS NULL OR quote = %(quote)s)
    AND (%(status)s IS NULL OR status = %(status)s)
ORDER BY exchange, symbol
"""


class InstrumentFilter(BaseModel):
    """Filter of instruments; a missing parameter matches all."""

    model_config = ConfigDict(extra="forbid")

    exchange: Exchange | None = None
    base: Name | None = None
    quote: Name | None = None
    status: Name | None = None


class Instrument(BaseModel):
    exchange: Exchange
    symbol: str
    base: str
    quote: str
    status: Annotated[str, Field(description="TRADING, DELISTED, or the exchange's own status")]
    seen_at: Annotated[Instant, Field(description="When the row's current values were first seen")]


class Instruments(BaseModel):
    instruments: list[Instrument]


async def instruments(queries: QueryConnection, which: InstrumentFilter) -> Instruments:
    rows = await queries.rows(INSTRUMENTS, which.model_dump())
    names = Instrument.model_fields
    return Instruments(
        instruments=[Instrument(**dict(zip(names, row, strict=True))) for row in rows]
    )
