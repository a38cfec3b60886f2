"""Find the first stage of a pipeline without output: output of an earlier run does not count."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from core.settings import Settings
from exchanges.binance import BINANCE
from infra.first_prices import has_messages, has_prices
from infra.ports import free_ports
from tests.support.kafka import produce
from tests.support.live_job import ticker, write_batch

HOUR = 3600.0


def test_only_messages_that_kafka_stamped_since_then_count(settings: Settings) -> None:
    produce(settings, BINANCE.raw_topic, [])
    assert has_messages(settings, BINANCE.raw_topic, time.time() - HOUR)
    assert not has_messages(settings, BINANCE.raw_topic, time.time() + HOUR)
    assert not has_messages(settings, "no_such_topic", time.time() - HOUR)


def test_only_prices_that_were_received_since_then_count(database: Settings) -> None:
    since = time.time() - HOUR
    assert not has_prices(database, "binance", since)
    received = datetime.now(UTC)
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1", received_at=received)])
    assert has_prices(database, "binance", since)
    assert not has_prices(database, "binance", time.time() + HOUR)
    assert not has_prices(database, "kucoin", since)


def test_a_service_that_does_not_answer_has_no_output(settings: Settings) -> None:
    [closed] = free_ports(1)
    no_server = f"postgresql://reader:x@127.0.0.1:{closed}/none"
    unavailable = replace(settings, reader_database_url=no_server)
    assert not has_prices(unavailable, "binance", time.time() - HOUR)
