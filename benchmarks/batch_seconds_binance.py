"""Run Binance's extractor as it was: its items wait up to a second for their batch.

python -m benchmarks.batch_seconds_binance binance: as `python -m extractors binance`.
"""

import sys

from extractors.__main__ import main
from extractors.binance import BinanceFeed

BATCH_SECONDS = 1.0

if __name__ == "__main__":
    BinanceFeed.batch_seconds = BATCH_SECONDS
    sys.exit(main())
