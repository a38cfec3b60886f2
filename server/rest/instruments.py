"""Return the instruments that the exchanges list: base, quote and trading status of each symbol."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from exchanges import EXCHANGE
from server.fields import Exchange, Instant
from server.rest.query_connection import QueryConnection
from server.state.selection import Selection

INSTRUMENTS = """
SELECT exchange, symbol, base, quote, status, seen_at FROM instruments
WHERE exchange = ANY (%(known)s) AND (%(exchanges)s = '{}' OR exchange = ANY (%(exchanges)s))
    AND (%(bases)s = '{}' OR lower(base) = ANY (%(bases)s))
    AND (%(quotes)s = '{}' OR lower(quote) = ANY (%(quotes)s))
    AND (%(symbols)s = '{}' OR symbol = ANY (%(symbols)s))
    AND (%(status)s IS NULL OR lower(status) = %(status)s)
ORDER BY exchange, symbol
"""


class Instrument(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "exchange": "kucoin",
                    "symbol": "BCHSV-USDT",
                    "base": "BSV",
                    "quote": "USDT",
                    "status": "TRADING",
                    "seen_at": "2025-03-28T07:00:03.120045Z",
                }
            ]
        }
    )

    exchange: Exchange
    symbol: str
    base: str
    quote: str
    status: Annotated[str, Field(description="TRADING, DELISTED, or the exchange's own status")]
    seen_at: Annotated[Instant, Field(description="When the row's current values were first seen")]


class Instruments(BaseModel):
    instruments: list[Instrument]


async def instruments(queries: QueryConnection, wanted: Selection) -> Instruments:
    """Return the instruments of a selection. Raise HTTPException: 503 without Postgres."""
    rows = await queries.rows(
        INSTRUMENTS,
        {
            name: list(value) if isinstance(value, frozenset) else value
            for name, value in wanted._asdict().items()
        }
        # The jobs may be of a later version that has more exchanges.
        | {"known": list(EXCHANGE)},
    )
    names = Instrument.model_fields
    return Instruments(
        instruments=[Instrument(**dict(zip(names, row, strict=True))) for row in rows]
    )
