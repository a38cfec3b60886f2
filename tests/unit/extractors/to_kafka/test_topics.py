"""Test what extractors report while Kafka is unavailable, and that no error stays in a client's queue."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from socket import create_server
from threading import Thread
from types import SimpleNamespace

import pytest

from core.settings import Settings
from exchanges.binance import BINANCE
from extractors.backfill.backfill import Backfill, reach_of
from extractors.backfill.candle_producer import CandleProducer
from extractors.backfill.progress import BackfillProgress
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_kafka.delivered import Delivered
from extractors.to_kafka.producer import Producer
from extractors.to_kafka.publisher import Publisher
from extractors.to_kafka.topic_reader import TopicError
from tests.support.exchange_clients import NOWHERE, binance_client
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.independent, pytest.mark.long]


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("to_kafka.topics", "backfill.candle_producer"):
        monkeypatch.setattr(f"extractors.{module}.RETRY_INTERVAL", 0.3)


@pytest.fixture
def no_tls(tmp_path: Path) -> Iterator[Settings]:
    """Settings with TLS, for a server that answers with plain text."""
    path = tmp_path / "client.properties"
    path.write_text("security.protocol=SSL\n")
    with create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=answer, daemon=True).start()
        yield Settings(
            kafka_bootstrap_servers=f"127.0.0.1:{server.getsockname()[1]}",
            kafka_client_properties=str(path),
        )


def stopped_after(seconds: float) -> Shutdown:
    stop = Shutdown(seconds)
    stop.request()
    return stop


def producer_of(settings: Settings, stop: Shutdown) -> Producer:
    delivered = Delivered("3f9c1a2b00c4d5e6")
    return Producer("binance", settings, "id", delivered, set(), 1000, stop, Metrics("binance"))


def wait_with_a_producer(settings: Settings) -> None:
    assert producer_of(settings, stopped_after(3.0)).wait_for_topic() is None


def wait_with_the_publisher(settings: Settings) -> None:
    Publisher(settings, stopped_after(3.0)).run()


@pytest.mark.parametrize("wait", [wait_with_a_producer, wait_with_the_publisher])
def test_a_handshake_that_fails_is_the_reason_in_the_log(
    no_tls: Settings, caplog: pytest.LogCaptureFixture, wait: Callable[[Settings], None]
) -> None:
    wait(no_tls)
    reasons = [each for each in caplog.messages if each.startswith("waiting kafka=")]
    assert "SSL" in reasons[-1]


def test_a_handshake_that_fails_is_the_reason_why_no_candles_are_sent(no_tls: Settings) -> None:
    producer = CandleProducer(no_tls)

    def reason() -> str:
        with pytest.raises(TopicError) as failed:
            producer.check_topic()
        return str(failed.value)

    wait_for(reason, lambda found: "SSL" in found)


def test_no_error_of_a_connection_stays_in_the_clients_queue(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client queues an error for each failed attempt until poll() passes it to the callback."""
    monkeypatch.setattr("extractors.to_kafka.topics.Shutdown.pause", lambda *_: None)
    producer = producer_of(Settings(kafka_bootstrap_servers=NOWHERE), stopped_after(2.0))
    assert producer.wait_for_topic() is None
    assert producer._kafka.poll(0) <= 2  # noqa: SLF001
    assert f"{NOWHERE}/bootstrap: Connect to ipv4#{NOWHERE} failed" in caplog.text


def test_a_backfill_without_a_hole_empties_the_clients_queue_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(kafka_bootstrap_servers=NOWHERE)
    producer, progress = CandleProducer(settings), BackfillProgress.load(tmp_path)
    candles, stop = BINANCE.candles, Shutdown(10.0)
    assert candles
    reach = reach_of(settings)
    kafka = producer._kafka  # noqa: SLF001
    served: list[int] = []
    poll = kafka.poll
    monkeypatch.setattr(producer, "_kafka", SimpleNamespace(poll=lambda s: served.append(poll(s))))
    backfill = Backfill(binance_client(), candles, producer, progress, tmp_path, reach, list, stop)
    backfill.start()
    wait_for(lambda: sum(served) > 2)
    stop.request()
    wait_for(backfill.is_alive, lambda is_alive: not is_alive)


@pytest.mark.parametrize(
    "text",
    [
        "reconnect.backoff.ms=2000",
        "reconnect.backoff.max.ms=60",
        "reconnect.backoff.ms=2000\nreconnect.backoff.max.ms=9000",
    ],
)
def test_the_users_pauses_between_connections_are_accepted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "client.properties"
    path.write_text(text)
    settings = Settings(kafka_bootstrap_servers=NOWHERE, kafka_client_properties=str(path))
    producer_of(settings, Shutdown(1.0))
    Publisher(settings, Shutdown(1.0))
    CandleProducer(settings)
