"""Run Binance's extractor as it was: items wait up to 1 s for their batch.

python -m benchmarks.extractors.batch_seconds_binance binance: used like `python -m extractors binance`.
"""

import sys

from core.settings import Settings
from exchanges.exchange import Exchange
from extractors import __main__ as program
from extractors.receive.exchange_client import ExchangeClient, client_of

BATCH_SECONDS = 1.0


def collecting(exchange: Exchange, settings: Settings) -> ExchangeClient:
    client = client_of(exchange, settings)
    client.batch_seconds = BATCH_SECONDS
    return client


if __name__ == "__main__":
    program.client_of = collecting  # type: ignore[attr-defined]
    sys.exit(program.main())
