"""Dead letters to tickers: each is read as it was written, and keeps its place."""

import json
from datetime import UTC, datetime

from chispa import assert_df_equality
from pyspark.sql import SparkSession

from core.topics import BINANCE_RAW_DATA, KUCOIN_RAW_DATA
from spark_jobs.dead_letters import DeadLetter
from spark_jobs.replay_dead_letters import Stored, tickers_of
from tests.support.frames import BTCUSDT, CRO_USDT, RECEIVED_AT, item, table

WRITTEN_AT = datetime.fromtimestamp(RECEIVED_AT // 1_000_000, UTC)
HOST = "stream.binance.com"
FOUND = (
    "endpoint STRING, topic STRING, partition INT, offset LONG, position INT, symbol STRING,"
    " reason STRING"
)


def stored(topic: str, offset: int, position: int, payload: bytes, host: str | None) -> Stored:
    return Stored(DeadLetter(topic, 2, offset, position, "old", payload, None, host), WRITTEN_AT)


def test_an_item_has_its_own_place_and_a_messages_items_have_theirs(spark: SparkSession) -> None:
    coin = item(BTCUSDT, s="币安人生USDT")
    far_ahead = item(BTCUSDT, RECEIVED_AT + 3_600_000_000)
    letters = [
        stored(BINANCE_RAW_DATA, 7, 3, json.dumps(coin).encode(), HOST),
        stored(BINANCE_RAW_DATA, 7, 4, b'{"c":', None),
        stored(BINANCE_RAW_DATA, 8, -1, json.dumps([coin, 7]).encode(), None),
        stored(BINANCE_RAW_DATA, 9, -1, b"\xff\x00", None),
        stored(BINANCE_RAW_DATA, 9, 0, json.dumps(far_ahead).encode(), None),
        stored(KUCOIN_RAW_DATA, 7, 3, json.dumps(item(CRO_USDT)).encode(), None),
    ]

    actual = tickers_of(spark, letters).select(
        "endpoint", "topic", "partition", "offset", "position", "symbol", "reason"
    )

    binance, ahead = (BINANCE_RAW_DATA, 2), RECEIVED_AT + 3_600_000_000
    expected = table(
        spark,
        [
            (HOST, *binance, 7, 3, "币安人生USDT", None),
            (None, *binance, 7, 4, None, "the message is no JSON array"),
            (None, *binance, 8, 0, "币安人生USDT", None),
            (None, *binance, 8, 1, None, "the item is no JSON object"),
            (None, *binance, 9, -1, None, "the message is no JSON array"),
            (None, *binance, 9, 0, "BTCUSDT", f"received_at is ahead of Kafka's clock: {ahead}"),
            (None, KUCOIN_RAW_DATA, 2, 7, 3, "CRO-USDT", None),
        ],
        FOUND,
    )
    in_order = actual.orderBy("topic", "offset", "position")
    assert_df_equality(in_order, expected, ignore_nullable=True)
