"""Fill holes from a real replay exchange into a real Kafka."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from core.message import MAX_MESSAGE_BYTES
from core.settings import Settings
from core.topics import EXCHANGE_CANDLES
from exchanges.binance import BINANCE
from exchanges.exchange import Addresses, Asking, Instrument
from extractors.backfill.backfill import Backfill
from extractors.backfill.candle_producer import CandleProducer, TooLargeError
from extractors.backfill.holes import DAY, GRACE, HOUR, MINUTE
from extractors.backfill.progress import BackfillProgress
from extractors.backfill.ranking import ranked
from extractors.receive.backlog import Backlog
from extractors.receive.exchange_client import ExchangeClient
from extractors.receive.instruments import InstrumentWatch
from extractors.receive.notices import now_us
from extractors.shutdown import Shutdown
from infra.ports import free_ports
from infra.replay.faults.faults import CandlesBanned, CandlesFail, CandlesUnknown
from tests.support.exchange_clients import binance_client, kucoin_client
from tests.support.kafka import Topic
from tests.support.ledger import Ledger
from tests.support.own_kafka import OwnKafka
from tests.support.replay_exchange import inflict, running
from tests.support.small_exchange import EXCHANGES, exchanges
from tests.support.waiting import wait_for

TOO_LARGE = (
    "topic exchange_candles: KafkaError{code=MSG_SIZE_TOO_LARGE,val=10,"
    'str="Broker: Message size too large"}'
)
REACH = {"1m": 6 * HOUR, "1h": 30 * DAY, "1d": 365 * DAY}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running(*exchanges(Ledger())) as address:
        yield address


@pytest.fixture
def topic(settings: Settings) -> Topic:
    return Topic(settings, EXCHANGE_CANDLES)


@pytest.fixture
def at() -> int:
    """Time of the extractors' clocks: holes that end two minutes before it and the last full hour are due.

    The clocks stand still, because KuCoin's candles of another hour would be requested when it ends.
    """
    ahead = now_us() + 2 * MINUTE
    return max(ahead, ahead // HOUR * HOUR + GRACE)


def client_at(exchange: str, address: str) -> ExchangeClient:
    if exchange == "binance":
        return binance_client(rest_url=f"http://{address}")
    return kucoin_client(rest_url=f"http://{address}")


@contextmanager
def filling(
    client: ExchangeClient,
    settings: Settings,
    folder: Path,
    progress: BackfillProgress,
    at: int,
    instruments: Callable[[], list[Instrument]] | None = None,
) -> Iterator[Backfill]:
    """Run the thread until the end of the block."""
    stop = Shutdown(7.0)
    source = client.exchange.candles
    assert source
    thread = Backfill(
        client,
        source,
        CandleProducer(settings),
        progress,
        folder,
        REACH,
        instruments or (lambda: client.symbol_list().instruments),
        stop,
        clock=lambda: at,
    )
    thread.start()
    try:
        yield thread
    finally:
        stop.request()
        thread.join(10)


def new_hole(at: int) -> BackfillProgress:
    """Return the progress of a first start whose first ticker came two minutes before `at`."""
    progress = BackfillProgress(0, at // HOUR * HOUR, [])
    progress.interrupted(at - 2 * MINUTE - 1_000_000, at - 2 * MINUTE)
    return progress


def most_traded(client: ExchangeClient) -> list[str]:
    assert client.exchange.candles
    turnovers = client.turnovers(client.exchange.candles)
    return ranked(client.symbol_list().instruments, turnovers)


def is_filled(progress: BackfillProgress) -> Callable[[], bool]:
    return lambda: progress.next(now_us() + 10 * MINUTE) is None


def messages_of(topic: Topic, exchange: str) -> list[dict[str, Any]]:
    found = [json.loads(message.value() or b"") for message in topic.messages()]
    return [each for each in found if each["exchange"] == exchange]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_new_journal_gets_minutes_hours_and_days_of_every_pair_that_trades(
    exchange: str, address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    progress = new_hole(at)
    with filling(client_at(exchange, address), settings, tmp_path, progress, at) as thread:
        wait_for(is_filled(progress))
    messages = messages_of(topic, exchange)
    intervals = Counter(each["interval"] for each in messages)
    assert intervals == {"1m": thread.pairs, "1h": thread.pairs, "1d": thread.pairs}
    assert 15 < thread.pairs == thread.done <= 20
    assert [each["reason"] for each in messages] == [None] * len(messages)
    lengths = {each["interval"]: each["to"] - each["from"] for each in messages}
    assert 6 * 60 <= lengths["1m"] // MINUTE <= 6 * 60 + 1
    assert 365 <= lengths["1d"] / (24 * 60 * MINUTE) <= 366


def half_of_the_symbols(addresses: Addresses) -> Asking[object]:
    entries = yield from BINANCE.symbol_list(addresses)
    assert isinstance(entries, list)
    return entries[: len(entries) // 2]


def test_a_faulty_symbol_list_leaves_no_pair_out(
    address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    known = {each.symbol: each for each in client_at("binance", address).symbol_list().instruments}
    client = binance_client(
        rest_url=f"http://{address}", exchange=replace(BINANCE, symbol_list=half_of_the_symbols)
    )
    assert len(client.symbol_list().instruments) <= len(known) / 2
    stop = Event()
    watch = InstrumentWatch(client, lambda: known, Backlog(1_000), stop)
    watch.start()
    progress = new_hole(at)
    with filling(client, settings, tmp_path, progress, at, lambda: watch.instruments):
        wait_for(is_filled(progress))
    stop.set()
    wait_for(watch.is_alive, lambda is_alive: not is_alive)
    trading = {symbol for symbol, each in known.items() if each.status == "TRADING"}
    assert {each["symbol"] for each in messages_of(topic, "binance")} == trading


@pytest.mark.parametrize("status", [None, "BREAK"])
def test_no_hole_is_filled_before_an_instrument_trades(
    status: str | None, address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    client, known, looks = client_at("binance", address), list[Instrument](), list[int]()
    if status:
        known += [replace(each, status=status) for each in client.symbol_list().instruments]

    def instruments() -> list[Instrument]:
        looks.append(len(known))
        return known

    progress = new_hole(at)
    with filling(client, settings, tmp_path, progress, at, instruments) as thread:
        wait_for(lambda: len(looks) >= 2)
        assert not is_filled(progress)()
        known[:] = client.symbol_list().instruments
        wait_for(is_filled(progress))
    assert len({each["symbol"] for each in messages_of(topic, "binance")}) == thread.pairs > 15


def test_a_restart_requests_only_the_pairs_that_are_left(
    address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    client = client_at("binance", address)
    progress = new_hole(at)
    with filling(client, settings, tmp_path, progress, at) as thread:
        wait_for(lambda: thread.done >= 5)
    progress.save(tmp_path)
    first = {each["symbol"] for each in messages_of(topic, "binance")}

    resumed = BackfillProgress.load(tmp_path)
    with filling(client, settings, tmp_path, resumed, at) as thread:
        wait_for(is_filled(resumed))
    counts = Counter(
        each["symbol"] for each in messages_of(topic, "binance") if each["interval"] == "1d"
    )
    assert len(counts) == thread.pairs > len(first)
    # The pair that was requested during the stop may be requested twice.
    assert sum(counts.values()) <= thread.pairs + 1


def test_a_refused_pair_is_recorded_with_the_reason_and_costs_no_other(
    address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    progress = new_hole(at)
    inflict(address, "kucoin", CandlesUnknown(), connections=3)
    with filling(client_at("kucoin", address), settings, tmp_path, progress, at) as thread:
        wait_for(is_filled(progress))
    messages = messages_of(topic, "kucoin")
    refused = [each for each in messages if each["reason"]]
    assert len({each["symbol"] for each in refused}) == 1
    assert {each["reason"] for each in refused} == {
        "refused: /api/v1/market/candles answered code 900001: symbol not exists"
    }
    assert [each["response"] for each in refused] == [None] * 3
    assert len({each["symbol"] for each in messages if each["response"]}) == thread.pairs - 1


def test_a_response_that_kafka_refuses_as_too_large_is_recorded_and_costs_no_other(
    address: str, one_broker: OwnKafka, at: int, tmp_path: Path
) -> None:
    settings = one_broker.settings
    # A pair's 720 hours need 31 to 40 kB after compression, its 360 minutes and 365 days up to 22 kB.
    one_broker.configure(EXCHANGE_CANDLES, "max.message.bytes", "26000")
    topic = Topic(settings, EXCHANGE_CANDLES)
    progress = new_hole(at)
    with filling(client_at("binance", address), settings, tmp_path, progress, at) as thread:
        wait_for(is_filled(progress))
    messages = messages_of(topic, "binance")
    assert 15 < thread.pairs == thread.done
    assert Counter((each["interval"], each["reason"]) for each in messages) == {
        ("1m", None): thread.pairs,
        ("1h", TOO_LARGE): thread.pairs,
        ("1d", None): thread.pairs,
    }
    assert [each["response"] for each in messages if each["reason"]] == [None] * thread.pairs


def test_a_message_that_the_client_refuses_as_too_large_is_named(settings: Settings) -> None:
    producer = CandleProducer(settings)
    with pytest.raises(TooLargeError, match="MSG_SIZE_TOO_LARGE"):
        producer.send(b"binance/BTCUSDT/1m", bytes(2 * MAX_MESSAGE_BYTES))


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_failing_pair_is_requested_again_after_the_others(
    exchange: str,
    address: str,
    settings: Settings,
    topic: Topic,
    at: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("extractors.receive.repeated.RETRY_INTERVAL", 0.05)
    progress = new_hole(at)
    inflict(address, exchange, CandlesFail(), connections=2)
    with filling(client_at(exchange, address), settings, tmp_path, progress, at) as thread:
        wait_for(is_filled(progress))
    messages = messages_of(topic, exchange)
    assert [each["symbol"] for each in messages if each["reason"]] == []
    order = [*dict.fromkeys(each["symbol"] for each in messages)]
    assert len(order) == thread.pairs
    first = most_traded(client_at(exchange, address))[:2]
    assert {*order[-2:]} == {*first}


def test_a_later_fill_does_not_use_a_connection_that_the_exchange_has_closed_meanwhile(
    settings: Settings, topic: Topic, at: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    [port] = free_ports(1)
    client = client_at("binance", f"127.0.0.1:{port}")
    progress = new_hole(at)
    with running(*exchanges(Ledger()), port), filling(client, settings, tmp_path, progress, at):
        wait_for(is_filled(progress))
        first = len(messages_of(topic, "binance"))
    progress.interrupted(at - 4 * MINUTE, at - 2 * MINUTE)
    with (
        running(*exchanges(Ledger()), port),
        filling(client, settings, tmp_path, progress, at) as thread,
    ):
        wait_for(is_filled(progress))
    assert len(messages_of(topic, "binance")) - first == thread.pairs > 15
    assert "candles unavailable" not in caplog.text


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_ban_stops_all_requests_for_as_long_as_the_exchange_demands(
    exchange: str, address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    client = client_at(exchange, address)
    progress = new_hole(at)
    inflict(address, exchange, CandlesBanned(wait=10.0))
    began = time.monotonic()
    with filling(client, settings, tmp_path, progress, at):
        wait_for(lambda: client.ban.left() > 0)
        wait_for(lambda: messages_of(topic, exchange))
        assert time.monotonic() - began >= 10
        wait_for(is_filled(progress))
    assert [each for each in messages_of(topic, exchange) if each["reason"]] == []


@pytest.mark.parametrize(("exchange", "intervals"), [("binance", []), ("kucoin", ["1h"])])
def test_an_hour_that_ended_is_requested_where_tickers_have_no_volume(
    exchange: str,
    intervals: list[str],
    address: str,
    settings: Settings,
    topic: Topic,
    at: int,
    tmp_path: Path,
) -> None:
    hour = at // HOUR * HOUR
    progress = BackfillProgress(at - 2 * MINUTE, hour - HOUR, [])
    client, asked = client_at(exchange, address), Event()

    def instruments() -> list[Instrument]:
        # The backfill asks for them once the hour is among the holes.
        asked.set()
        return client.symbol_list().instruments

    with filling(client, settings, tmp_path, progress, at, instruments) as thread:
        wait_for(asked.is_set)
        wait_for(is_filled(progress))
    assert thread.done == thread.pairs
    messages = messages_of(topic, exchange)
    assert [*dict.fromkeys(each["interval"] for each in messages)] == intervals
    assert len(messages) == thread.pairs
    assert {(each["from"], each["to"]) for each in messages} <= {(hour - HOUR, hour)}


def test_requests_keep_the_interval_of_the_exchanges_limit(
    address: str, settings: Settings, topic: Topic, at: int, tmp_path: Path
) -> None:
    progress = new_hole(at)
    client = client_at("kucoin", address)
    began = time.monotonic()
    with filling(client, settings, tmp_path, progress, at) as thread:
        wait_for(is_filled(progress))
    requests = len(messages_of(topic, "kucoin"))
    assert requests == 3 * thread.pairs
    assert client.exchange.candles
    assert time.monotonic() - began >= (requests - 1) * client.exchange.candles.request_interval
