"""Schema of a price in answers and streams. The text comes from server.state.prices."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from server.fields import Amount, Exchange, Instant
from server.state.prices import KEY

EXAMPLE: JsonDict = {
    "exchange": "kucoin",
    "symbol": "BTC-USDT",
    "base": "BTC",
    "quote": "USDT",
    "status": "TRADING",
    "price": "85440.1",
    "bid": "85440",
    "bid_size": "0.31",
    "ask": "85440.1",
    "ask_size": "1.2045",
    "last_size": "0.00117",
    "open_24h": None,
    "high_24h": None,
    "low_24h": None,
    "base_volume_24h": None,
    "quote_volume_24h": None,
    "traded_at": "2025-03-28T07:37:27.912000Z",
    "event_time": "2025-03-28T07:37:28.467000Z",
    "sequence": 1743147448467,
    "received_at": "2025-03-28T07:37:28.501233Z",
    "endpoint": "ws-api-spot.kucoin.com",
    "topic": "kucoin_raw_data",
    "partition": 3,
    "offset": 1042,
    "position": 17,
    "batch_id": 311,
    "simulated": False,
}


class PriceRow(BaseModel):
    """The newest price of a symbol, and the Kafka message that it came in.

    With `fields`, a price has only the key and these fields.
    """

    model_config = ConfigDict(json_schema_extra={"required": list(KEY), "examples": [EXAMPLE]})

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
