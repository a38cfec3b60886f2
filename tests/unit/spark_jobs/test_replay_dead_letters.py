"""Dead letters to tickers: each is read as it was written, and keeps its place."""

import json
from datetime import UTC, datetime

from core.topics import BINANCE_RAW_DATA, KUCOIN_RAW_DATA
from spark_jobs.dead_letters import DeadLetter
from spark_jobs.replay_dead_letters import Stored, rows_of
from tests.support.frames import BTCUSDT, CRO_USDT, RECEIVED_AT, item

WRITTEN_AT = datetime.fromtimestamp(RECEIVED_AT // 1_000_000, UTC)
HOST = "stream.binance.com"
FOUND = ["topic", "partition", "offset", "position", "endpoint", "symbol", "reason"]


def stored(topic: str, offset: int, position: int, payload: bytes, host: str | None) -> Stored:
    return Stored(DeadLetter(topic, 2, offset, position, "old", payload, None, host), WRITTEN_AT)


def test_an_item_has_its_own_place_and_a_messages_items_have_theirs() -> None:
    coin = item(BTCUSDT, s="币安人生USDT")
    far_ahead = item(BTCUSDT, RECEIVED_AT + 3_600_000_000)
    letters = [
        stored(BINANCE_RAW_DATA, 7, 3, json.dumps(coin).encode(), HOST),
        stored(BINANCE_RAW_DATA, 7, 4, b'{"c":', None),
        stored(BINANCE_RAW_DATA, 8, -1, json.dumps([item(BTCUSDT), 7]).encode(), None),
        stored(BINANCE_RAW_DATA, 9, -1, b"\xff\x00", None),
        stored(BINANCE_RAW_DATA, 9, 0, json.dumps(far_ahead).encode(), None),
        stored(KUCOIN_RAW_DATA, 7, 3, json.dumps(item(CRO_USDT)).encode(), None),
    ]

    found = rows_of(letters).select(FOUND).to_pylist()

    binance, ahead = (BINANCE_RAW_DATA, 2), RECEIVED_AT + 3_600_000_000
    assert {tuple(row.values()) for row in found} == set(
        [
            (*binance, 7, 3, HOST, "币安人生USDT", None),
            (*binance, 7, 4, None, None, "the message is no JSON array"),
            (*binance, 8, 0, None, "BTCUSDT", None),
            (*binance, 8, 1, None, None, "the item is no JSON object"),
            (*binance, 9, -1, None, None, "the message is no JSON array"),
            (*binance, 9, 0, None, None, f"received_at is ahead of Kafka's clock: {ahead}"),
            (KUCOIN_RAW_DATA, 2, 7, 3, None, "CRO-USDT", None),
        ]
    )
