"""`python -m extractors binance|kucoin`: one exchange's tickers to its Kafka topic, until SIGTERM.

Exit status: 0 after SIGTERM or SIGINT; 1 when it ended by itself, so that a supervisor starts it
again; 2 for a wrong argument or setting, or a topic that the exchange does not know, which a new
start would not cure.
"""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable

from core.settings import EXTRACTORS, SettingError, Settings
from extractors.binance import BinanceFeed
from extractors.extractor import FAILED, HOPELESS, extract
from extractors.feed import Feed
from extractors.kucoin import KucoinFeed
from extractors.metrics import Metrics
from extractors.proxy import proxy_of
from extractors.stop import Stop

log = logging.getLogger(__name__)

FEEDS: dict[str, Callable[[Settings], Feed]] = {
    "binance": lambda settings: BinanceFeed(
        settings.binance_ws_url,
        settings.binance_rest_url,
        silence_limit=settings.binance_silence_limit,
        age_limit=settings.connection_age_limit,
    ),
    "kucoin": lambda settings: KucoinFeed(
        settings.kucoin_rest_url,
        batch_seconds=settings.kucoin_batch_seconds,
        silence_limit=settings.kucoin_silence_limit,
        age_limit=settings.connection_age_limit,
    ),
}

METRICS_PORTS: dict[str, Callable[[Settings], int]] = {
    "binance": lambda settings: settings.binance_metrics_port,
    "kucoin": lambda settings: settings.kucoin_metrics_port,
}

ADDRESSES: dict[str, Callable[[Settings], tuple[str, ...]]] = {
    "binance": lambda settings: (settings.binance_ws_url, settings.binance_rest_url),
    "kucoin": lambda settings: (settings.kucoin_rest_url,),
}
"""Those that the settings name. The address of KuCoin's WebSocket comes from its answer."""

STOP_LIMIT = 7.0
"""Seconds from SIGTERM to the last delivery. Three more of the promised ten are for the exit, which
takes its time on a busy machine."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m extractors", description=__doc__)
    parser.add_argument("exchange", choices=FEEDS)
    exchange = parser.parse_args().exchange
    try:
        settings = Settings.from_environment(EXTRACTORS)
        proxies = {url: proxy_of(url) for url in ADDRESSES[exchange](settings)}
    except SettingError as error:
        print(error, file=sys.stderr)
        return HOPELESS
    log_to_stderr(exchange)
    for url, proxy in proxies.items():
        if proxy:
            log.info("proxy used address=%s proxy=%s:%d", url, proxy.host, proxy.port)
    metrics = Metrics(exchange)
    port = METRICS_PORTS[exchange](settings)
    try:
        metrics.serve(settings.metrics_host, port)
    except OSError as error:
        log.error("metrics host=%s port=%d reason=%r", settings.metrics_host, port, str(error))
        return FAILED
    stop = Stop(STOP_LIMIT)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.request())
    feed = FEEDS[exchange](settings)
    return extract(feed, settings, stop, metrics)


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
