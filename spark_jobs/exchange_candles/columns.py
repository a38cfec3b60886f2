"""Define the columns of what is read from messages of topic `exchange_candles`."""

from spark_jobs.tickers.columns import AMOUNT

PRICES = ("open", "high", "low", "close")
OPTIONAL = ("base_volume", "quote_volume", "trades")

CANDLE_READ = {
    "kind": "STRING",
    "exchange": "STRING",
    "symbol": "STRING",
    "interval": "STRING",
    "start": "TIMESTAMP",
    **dict.fromkeys((*PRICES, "base_volume", "quote_volume"), AMOUNT),
    "trades": "BIGINT",
    "until": "TIMESTAMP",
    "received_at": "TIMESTAMP",
    "reason": "STRING",
    "payload": "BINARY",
    "position": "INT",
    "topic": "STRING",
    "partition": "INT",
    "first_offset": "BIGINT",
    "last_offset": "BIGINT",
    "timestamp": "TIMESTAMP",
}
"""`kind` is IS_CANDLE, IS_SPAN, or IS_DEAD_LETTER of spark_jobs.tickers.columns. `received_at` is by the
extractor's clock, `timestamp` by Kafka's."""

IS_CANDLE = "candle"
"""A candle, with the columns of the table exchange_candles."""
IS_SPAN = "span"
"""The span from `start` to `until` that was requested. `reason` says why there is no response: the
exchange refused the request, the request failed too often, or Kafka refused the response as too large. NULL
if there is a response."""

CANDLE_COLUMNS = ("exchange", "symbol", "interval", "start", *PRICES, *OPTIONAL, "received_at")
SPAN_COLUMNS = ("exchange", "symbol", "interval", "start", "until", "received_at", "reason")
