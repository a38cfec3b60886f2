"""`python -m extractors binance|kucoin`: one exchange's tickers to its Kafka topic, until SIGTERM.

Exit status: 0 after SIGTERM or SIGINT, 1 when it ended by itself or messages still waited for
Kafka, 2 for a wrong argument or setting.
"""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable

from core.settings import SettingError, Settings
from extractors.binance import BinanceFeed
from extractors.extractor import extract
from extractors.feed import Feed
from extractors.kucoin import KucoinFeed
from extractors.stop import Stop

FEEDS: dict[str, Callable[[Settings], Feed]] = {
    "binance": lambda settings: BinanceFeed(settings.binance_ws_url),
    "kucoin": lambda settings: KucoinFeed(settings.kucoin_rest_url),
}

STOP_LIMIT = 8.0
"""Seconds from SIGTERM to the last delivery; two more of the promised ten are for the exit."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m extractors", description=__doc__)
    parser.add_argument("exchange", choices=FEEDS)
    exchange = parser.parse_args().exchange
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        print(error, file=sys.stderr)
        return 2
    log_to_stderr(exchange)
    stop = Stop(STOP_LIMIT)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.request())
    feed = FEEDS[exchange](settings)
    return 0 if extract(feed, settings.kafka_bootstrap_servers, stop) else 1


def log_to_stderr(exchange: str) -> None:
    """One line per event: UTC time, level, exchange, what happened, its figures as key=value."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s.%(msecs)03dZ %(levelname)s exchange={exchange} %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    sys.exit(main())
