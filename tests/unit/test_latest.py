"""The newest per symbol: the same answer in any order of arrival."""

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession

from core.topics import KUCOIN_RAW_DATA
from spark_jobs.items import explode_items
from spark_jobs.latest import latest_tickers
from spark_jobs.normalise import normalise
from tests.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIVED_AT, item, record, records

MINUTE = 60_000_000


def latest(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    read = records(spark, *rows)
    return read.transform(explode_items).transform(normalise).transform(latest_tickers)


def ticker(symbol: str, price: str, sequence: int, received_at: int) -> dict[str, Any]:
    changed = item(CRO_USDT, received_at, price=price, sequence=str(sequence))
    return {**changed, "subject": symbol}


def test_the_newer_ticker_wins_in_any_order_of_arrival(spark: SparkSession) -> None:
    # (sequence, microseconds into the minute) of the older and the newer.
    pairs = {
        "the higher sequence": ((7, 0), (8, 0)),
        "the higher sequence, received earlier in the minute": ((7, 5), (8, 0)),
        "the later minute, although numbering began anew": ((8, 0), (1, MINUTE)),
        "the later receipt of the same sequence": ((7, 0), (7, 1)),
    }
    start = RECEIVED_AT - RECEIVED_AT % MINUTE
    items = []
    for name, ((old_sequence, old_time), (sequence, time)) in pairs.items():
        older = ticker(name, "1", old_sequence, start + old_time)
        newer = ticker(name, "2", sequence, start + time)
        items += [
            older,
            newer,
            {**newer, "subject": name + ", turned"},
            {**older, "subject": name + ", turned"},
        ]
    rows = latest(spark, [record(items, KUCOIN_RAW_DATA)]).collect()
    assert {row["symbol"]: int(row["price"]) for row in rows} == {
        name + turned: 2 for name in pairs for turned in ("", ", turned")
    }


def test_of_tickers_that_are_equally_new_the_later_place_in_kafka_wins(spark: SparkSession) -> None:
    rows = [record([item(BTCUSDT, c=str(n)), item(BTCUSDT, c=f"{n}.5")], offset=n) for n in (3, 2)]
    (row,) = latest(spark, rows).collect()
    assert (row["offset"], row["position"], float(row["price"])) == (3, 1, 3.5)


def test_a_row_counts_the_tickers_that_it_stands_for(spark: SparkSession) -> None:
    rows = [record([item(BTCUSDT), item(ETHUSDT)], offset=4), record([item(BTCUSDT)], offset=6)]
    found = latest(spark, rows).select("symbol", "first_offset", "last_offset", "tickers").collect()
    assert sorted(found) == [("BTCUSDT", 4, 6, 2), ("ETHUSDT", 4, 4, 1)]


def test_every_dead_letter_stays_beside_the_newest_tickers(spark: SparkSession) -> None:
    rows = [
        record([item(BTCUSDT), item(BTCUSDT, c="x"), item(BTCUSDT, c="x")]),
        record(b"?", offset=1),
    ]
    found = latest(spark, rows).select("offset", "position", "reason").collect()
    assert sorted(found, key=lambda row: (row["offset"], row["position"])) == [
        (0, 0, None),
        (0, 1, "price can't be read: x"),
        (0, 2, "price can't be read: x"),
        (1, -1, "the message is no JSON array"),
    ]
