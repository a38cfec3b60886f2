"""Send an exchange's tickers to its Kafka topic until SIGTERM: `python -m extractors binance`.

Exit status: 0 after SIGTERM or SIGINT; 1 after a failure, so that a supervisor restarts the process; 2
if a restart is useless: an argument or a setting is invalid, or the exchange does not know the topic
that the extractor subscribes to and has never sent a ticker.
"""

import argparse
import logging
import os
import signal
import sys
import time

from core.no_proxy import exempt_loopback
from core.settings import EXTRACTORS, SettingError, Settings
from exchanges import EXCHANGE
from extractors.extractor import FAILED, HOPELESS, extract
from extractors.metrics import Metrics
from extractors.network.proxy import proxy_of
from extractors.receive.exchange_client import client_of
from extractors.shutdown import Shutdown

log = logging.getLogger(__name__)

STOP_LIMIT = 7.0
"""Maximum seconds from SIGTERM to the last delivery. The process promises to end within 10 s: the other
3 s are reserved for its exit, which is slow on a busy machine."""


def main() -> int:
    exempt_loopback(os.environ)
    parser = argparse.ArgumentParser(prog="python -m extractors", description=__doc__)
    parser.add_argument("exchange", choices=EXCHANGE)
    exchange = EXCHANGE[parser.parse_args().exchange]
    try:
        settings = Settings.from_environment(EXTRACTORS)
        own = settings.exchanges[exchange.name]
        proxies = {url: proxy_of(url) for url in own.addresses.values()}
    except SettingError as error:
        print(error, file=sys.stderr)
        return HOPELESS
    log_to_stderr(exchange.name)
    for url, proxy in proxies.items():
        if proxy:
            log.info("proxy used address=%s proxy=%s:%d", url, proxy.host, proxy.port)
    metrics = Metrics(exchange.name)
    try:
        metrics.serve(settings.metrics_host, own.metrics_port)
    except OSError as error:
        address = settings.metrics_host, own.metrics_port
        log.error("metrics port unavailable host=%s port=%d reason=%r", *address, str(error))
        return FAILED
    stop = Shutdown(STOP_LIMIT)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.request())
    return extract(client_of(exchange, settings), settings, stop, metrics)


def log_to_stderr(exchange: str) -> None:
    """Log to stderr, one line per event: UTC time, level, exchange, event, key=value pairs."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s.%(msecs)03dZ %(levelname)s exchange={exchange} %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )


if __name__ == "__main__":
    sys.exit(main())
