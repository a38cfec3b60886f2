"""Schema of a price in answers and streams. server.state.prices writes the text."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.fields import Amount, Exchange, Instant
from server.state.prices import KEY


class PriceRow(BaseModel):
    """The newest price of a symbol, and the Kafka message that it came in.

    With `fields`, a price has only the key and these fields.
    """

    model_config = ConfigDict(json_schema_extra={"required": list(KEY)})

    exchange: Exchange
    symbol: str
    base: Annotated[str | None, Field(description="null until the exchange's list has the symbol")]
    quote: Annotated[str | None, Field(description="null until the exchange's list has the symbol")]
    status: Annotated[
        str | None,
        Field(
            description="TRADING, DELISTED, or the exchange's own word for another state; null until the"
            " exchange's list has the symbol"
        ),
    ]
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
