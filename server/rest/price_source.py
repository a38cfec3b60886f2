"""Return the source of a stored price: the Kafka message that it came in, and its position there.

Postgres does not store the exchange's original text. `make trace` reads it from Kafka or `raw/`.
"""

import shlex
from typing import Annotated

from pydantic import BaseModel, Field

from server.fields import Amount, Exchange, Instant
from server.rest.price_answers import no_price
from server.rest.query_connection import QueryConnection
from server.state.provenance import is_simulated

# The progress is beyond the offset of every price of its topic. A price at or beyond it is of a former
# topic of that name, which was deleted and created again.
SOURCE = """
SELECT live.price, live.topic, progress.topic_id, live.partition, live."offset", live.position,
    live.batch_id, live.received_at, live.endpoint
FROM live_prices AS live LEFT JOIN kafka_progress AS progress
    ON progress.topic = live.topic AND progress.partition = live.partition
    AND progress.next_offset > live."offset"
WHERE live.exchange = %(exchange)s AND live.symbol = %(symbol)s
"""


class PriceSource(BaseModel):
    """Source of one stored price. Names and values are those of its row in `/api/prices`."""

    exchange: Exchange
    symbol: str
    price: Amount
    topic: str
    topic_id: Annotated[
        str | None,
        Field(
            description="Kafka's id of the topic that the live job reads; null if it is not known,"
            " or if the price is of a former topic of that name and the new one has not reached its"
            " offset"
        ),
    ]
    partition: int
    offset: int
    position: Annotated[int, Field(description="Position of the ticker in the message")]
    batch_id: Annotated[int, Field(description="The batch that wrote this price")]
    received_at: Annotated[Instant, Field(description="When the extractor received it")]
    endpoint: Annotated[str | None, Field(description="The host that sent it")]
    simulated: bool
    trace: Annotated[
        str,
        Field(
            description="Shell command that prints the exchange's original text, on the pipeline's machine",
            examples=["make trace SYMBOL=binance:BTCUSDT"],
        ),
    ]


async def price_source(queries: QueryConnection, exchange: Exchange, symbol: str) -> PriceSource:
    """Return the source. Raise HTTPException: 404 for a symbol without a price, 503 without Postgres."""
    rows = await queries.rows(SOURCE, {"exchange": exchange, "symbol": symbol})
    if not rows:
        raise no_price(exchange, symbol)
    ((price, topic, topic_id, partition, offset, position, batch_id, received_at, endpoint),) = rows
    return PriceSource(
        exchange=exchange,
        symbol=symbol,
        price=price,
        topic=topic,
        topic_id=topic_id,
        partition=partition,
        offset=offset,
        position=position,
        batch_id=batch_id,
        received_at=received_at,
        endpoint=endpoint,
        simulated=is_simulated(endpoint),
        trace=trace_command(exchange, symbol),
    )


def trace_command(exchange: Exchange, symbol: str) -> str:
    """Return the command, quoted for a shell and for make: the exchange chooses the text of a symbol."""
    value = f"{exchange}:{symbol}".replace("$", "$$")
    return f"make trace SYMBOL={shlex.quote(value)}"
