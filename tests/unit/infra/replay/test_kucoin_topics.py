"""Test KuCoin's topics of single symbols, alone and as lists."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from infra.replay.market.symbols import kucoin_listing
from infra.replay.server import Simulation
from tests.support.ledger import Ledger
from tests.support.replay_exchange import kucoin_url, running
from tests.support.small_exchange import exchanges, text_of, texts

pytestmark = pytest.mark.long

PREFIX = "/market/ticker:"
ONE, OTHER = (listed["symbol"] for listed in kucoin_listing()[:2])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Run an exchange with 20 symbols and 400 frames per second."""
    with running(*exchanges(Ledger())) as address:
        yield address


def message(client: ClientConnection) -> dict[str, Any]:
    received: dict[str, Any] = json.loads(text_of(client))
    return received


def command(client: ClientConnection, kind: str, topic: str, number: int = 1) -> dict[str, Any]:
    """Send a command and return its answer. Skip data that arrives before it."""
    request = {"id": str(number), "type": kind, "topic": topic, "response": True}
    client.send(json.dumps(request))
    return next(each for each in map(json.loads, texts(client)) if each.get("id") == str(number))


def test_a_symbols_topic_has_its_own_subject_and_the_data_of_the_topic_of_all(address: str) -> None:
    with connect(kucoin_url(address)) as one, connect(kucoin_url(address)) as every:
        message(one), message(every)
        assert command(every, "subscribe", f"{PREFIX}all") == {"id": "1", "type": "ack"}
        assert command(one, "subscribe", PREFIX + ONE) == {"id": "1", "type": "ack"}
        frame = [message(one) for _ in range(2)][1]
        assert list(frame) == ["topic", "type", "subject", "data"]
        assert (frame["topic"], frame["subject"]) == (PREFIX + ONE, "trade.ticker")
        assert next(
            each
            for each in map(json.loads, texts(every))
            if each["subject"] == ONE and each["data"] == frame["data"]
        )


@pytest.mark.parametrize("separator", [",", ", "])
def test_a_list_of_symbols_begins_with_a_burst_of_each_and_can_be_left_in_part(
    address: str, separator: str
) -> None:
    with connect(kucoin_url(address)) as client:
        message(client)
        # cryptofeed writes a space after the colon.
        topic = f"{PREFIX} {ONE}{separator}{OTHER}"
        assert command(client, "subscribe", topic) == {"id": "1", "type": "ack"}
        burst = [message(client)["topic"] for _ in range(2)]
        assert burst == [PREFIX + ONE, PREFIX + OTHER]
        assert command(client, "unsubscribe", PREFIX + ONE, 2) == {"id": "2", "type": "ack"}
        assert {message(client)["topic"] for _ in range(5)} == {PREFIX + OTHER}
        assert command(client, "unsubscribe", PREFIX + OTHER, 3) == {"id": "3", "type": "ack"}
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_a_topic_that_is_subscribed_to_again_brings_no_second_burst(address: str) -> None:
    with connect(kucoin_url(address)) as client:
        message(client)
        command(client, "subscribe", PREFIX + ONE)
        sequences = [int(message(client)["data"]["sequence"])]
        command(client, "subscribe", PREFIX + ONE, 2)
        sequences += [int(message(client)["data"]["sequence"]) for _ in range(5)]
    assert sequences == sorted(set(sequences))


def error_of(address: str, topic: str) -> dict[str, Any]:
    with connect(kucoin_url(address)) as client:
        message(client)
        return command(client, "subscribe", topic)


def test_an_unknown_symbol_is_refused_by_name_and_with_it_the_whole_list(address: str) -> None:
    with connect(kucoin_url(address)) as client:
        message(client)
        assert command(client, "subscribe", f"{PREFIX}{ONE},NO-SUCH") == {
            "id": "1",
            "type": "error",
            "code": 404,
            "data": f"topic {PREFIX}NO-SUCH is not found",
        }
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.2)


def test_a_command_names_up_to_100_topics(address: str) -> None:
    symbols = ",".join(f"X{number}-USDT" for number in range(101))
    error = error_of(address, PREFIX + symbols)
    assert (error["code"], error["data"]) == (
        509,
        "exceed max subscription count limitation of 100 per time",
    )


def test_a_connection_has_up_to_400_topics() -> None:
    symbols = [listed["symbol"] for listed in kucoin_listing()[:401]]
    with (
        running(*Simulation(binance_symbols=1).exchanges()) as address,
        connect(kucoin_url(address), max_queue=None) as client,
    ):
        message(client)
        for first in range(0, 400, 100):
            topic = PREFIX + ",".join(symbols[first : first + 100])
            assert command(client, "subscribe", topic, first)["type"] == "ack"
        error = command(client, "subscribe", PREFIX + symbols[400], 5)
    assert (error["code"], error["data"]) == (
        509,
        "exceed max subscription count limitation of 400 per session",
    )
