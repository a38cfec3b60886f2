"""Run `python -m extractors` as a process: from an exchange to Kafka, up to its shutdown."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Message
from websockets.sync.server import ServerConnection

from core.message import partition_of
from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra import ports
from infra.replay.server import Simulation
from infra.services.kafka import RAW_TOPIC_PARTITIONS
from tests.support.extractor import Extractor
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT
from tests.support.kafka import Topic, all_items, items_of
from tests.support.loopback import kucoin, until_closed, websocket_server
from tests.support.process import run
from tests.support.replay_exchange import running, settings_at
from tests.support.waiting import DEADLINE


@pytest.fixture
def topic(settings: Settings) -> Callable[[str], Topic]:
    return lambda exchange: Topic(settings, TOPIC_OF_EXCHANGE[exchange])


def symbol_of(item: dict[str, Any]) -> str:
    symbol = item.get("s") or item.get("subject")
    return symbol if isinstance(symbol, str) else ""


def by_symbol(items: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return each symbol's items in order, without `received_at`."""
    grouped: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        stripped = {name: item[name] for name in item if name != "received_at"}
        grouped.setdefault(symbol_of(item), []).append(stripped)
    return grouped


def assert_contract(exchange: str, messages: list[Message]) -> None:
    """Assert what `core.message` guarantees of every message, whatever its items."""
    for message in messages:
        partition = message.partition()
        assert message.key() == f"{exchange}-{partition}".encode()
        headers = dict(message.headers() or [])
        assert list(headers) == ["endpoint", "journal", "position"]
        assert headers["endpoint"] == b"127.0.0.1"
        for item in items_of(message):
            assert partition_of(symbol_of(item), RAW_TOPIC_PARTITIONS) == partition
            assert abs(item["received_at"] / 1_000_000 - time.time()) < 2 * DEADLINE


@contextmanager
def exchange_that_sends(
    exchange: str, frames: list[str], settings: Settings
) -> Iterator[tuple[Settings, Event]]:
    """Yield settings for this exchange, and an event that is set once all frames were read."""
    all_read = Event()

    def talk(connection: ServerConnection) -> None:
        for frame in frames:
            connection.send(frame)
        # The thread that reads frames also answers pings, so a pong means that all frames were read.
        if connection.ping().wait(DEADLINE):
            all_read.set()
        until_closed(connection)

    if exchange == "binance":
        with websocket_server(talk) as url:
            addresses = {"ws": url, "rest": url.replace("ws://", "http://")}
            yield settings.with_exchange("binance", addresses=addresses), all_read
    else:
        with kucoin(talk) as url:
            yield settings.with_exchange("kucoin", addresses={"rest": url}), all_read


def binance_frames() -> list[str]:
    symbols = ["BTCUSDT", "币安人生USDT", *(f"S{n}USDT" for n in range(200))]
    return [
        json.dumps([{**BTCUSDT, "s": symbol, "E": n, "c": f"0.{n:018}"} for symbol in symbols])
        for n in range(20)
    ]


def kucoin_frames() -> list[str]:
    return [
        json.dumps({**CRO_USDT, "subject": f"S{n % 37}-USDT", "data": {"sequence": str(n)}})
        for n in range(5_000)
    ]


def sent(frames: list[str]) -> list[dict[str, Any]]:
    values = [json.loads(frame) for frame in frames]
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize(
    ("exchange", "frames"),
    [("binance", binance_frames()), ("kucoin", kucoin_frames())],
    ids=["binance", "kucoin"],
)
def test_all_that_was_received_is_in_the_topic_once_and_in_order_after_sigterm(
    exchange: str,
    frames: list[str],
    settings: Settings,
    topic: Callable[[str], Topic],
    extractor: Callable[[str, Settings], Extractor],
) -> None:
    received = topic(exchange)
    with exchange_that_sends(exchange, frames, settings) as (exchange_settings, all_read):
        process = extractor(exchange, exchange_settings)
        assert all_read.wait(DEADLINE), process.log()
        assert process.terminate() == 0, process.log()
    messages = received.messages()
    assert by_symbol(all_items(messages)) == by_symbol(sent(frames))
    assert_contract(exchange, messages)
    assert len(messages) < len(frames), "batches, not frames"
    assert "secret" not in process.log()


def test_what_can_not_be_read_reaches_the_topic_beside_its_neighbours(
    settings: Settings,
    topic: Callable[[str], Topic],
    extractor: Callable[[str, Settings], Extractor],
) -> None:
    received = topic("binance")
    frames = ["<html>", json.dumps([BTCUSDT, {"c": "1"}, None, ETHUSDT])]
    with exchange_that_sends("binance", frames, settings) as (exchange_settings, all_read):
        process = extractor("binance", exchange_settings)
        assert all_read.wait(DEADLINE), process.log()
        assert process.terminate() == 0, process.log()
    messages = received.messages()
    assert by_symbol(all_items(messages)) == {
        "": [{"unreadable": "<html>"}, {"c": "1"}, {"unreadable": "null"}],
        "BTCUSDT": [BTCUSDT],
        "ETHUSDT": [ETHUSDT],
    }
    assert_contract("binance", messages)


def test_message_that_kafka_refuses_is_named_and_costs_no_other(
    settings: Settings,
    topic: Callable[[str], Topic],
    extractor: Callable[[str, Settings], Extractor],
) -> None:
    received = topic("binance")
    frames = [json.dumps([BTCUSDT, {"s": "HUGEUSDT", "c": "9" * 1_100_000}, ETHUSDT])]
    with exchange_that_sends("binance", frames, settings) as (exchange_settings, all_read):
        process = extractor("binance", exchange_settings)
        assert all_read.wait(DEADLINE), process.log()
        assert process.terminate() == 0, process.log()
    assert by_symbol(all_items(received.messages())) == {
        "BTCUSDT": [BTCUSDT],
        "ETHUSDT": [ETHUSDT],
    }
    partition = partition_of("HUGEUSDT", RAW_TOPIC_PARTITIONS)
    named = f"message refused topic=binance_raw_data partition={partition} items=1 first="
    assert named in process.log()


def test_both_feeds_of_the_replay_exchange_flow(
    settings: Settings,
    topic: Callable[[str], Topic],
    extractor: Callable[[str, Settings], Extractor],
) -> None:
    topics = {exchange: topic(exchange) for exchange in TOPIC_OF_EXCHANGE}
    with running(*Simulation().exchanges()) as address:
        exchange_settings = settings_at(
            settings,
            address,
        )
        processes = {exchange: extractor(exchange, exchange_settings) for exchange in topics}
        for exchange, each in topics.items():
            processes[exchange].wait_for(
                lambda each=each: len(all_items(each.messages())),  # type: ignore[misc]
                lambda count: count > 2_000,
            )
        assert [process.terminate() for process in processes.values()] == [0, 0]
    for exchange, each in topics.items():
        messages = each.messages()
        assert_contract(exchange, messages)
        for item in all_items(messages):
            ticker = item["data"] if exchange == "kucoin" else item
            assert float(ticker["price" if exchange == "kucoin" else "c"]) > 0


def test_kafka_that_is_unavailable_at_the_start_is_named_and_waited_for(
    settings: Settings, extractor: Callable[[str, Settings], Extractor]
) -> None:
    [port] = ports.free_ports(1)
    address = f"127.0.0.1:{port}"
    process = extractor("kucoin", replace(settings, kafka_bootstrap_servers=address))
    process.wait_for(process.log, lambda log: f"waiting kafka={address}" in log)
    assert process.terminate() == 0, process.log()


def test_setting_that_can_not_be_right_is_refused_by_name() -> None:
    command = [sys.executable, "-m", "extractors", "binance"]
    refused = run(command, {"BINANCE_WS_URL": "https://x"}, status=2)
    assert "BINANCE_WS_URL='https://x'" in refused.stderr
