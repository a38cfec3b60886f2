"""Readings of batches, and the share of items that could not be read."""

import json
from typing import Any

import pytest

from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import REDUCED, as_table
from spark_jobs.tickers.messages import read_and_reduce
from spark_jobs.tickers.reading import LastMinute, Reading, Share, cause_of, reading_of, shares_of
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item
from tests.support.messages import frame, message


def reading(*messages: dict[str, Any]) -> Reading:
    return reading_of(as_table(read_and_reduce(frame(*messages)), REDUCED))


def of_exchange(
    tickers: int, dead_letters: dict[str, int] | None = None, **no_price: int
) -> dict[str, Any]:
    unread = {f"price {reason.replace('_', ' ')}": {"count": n} for reason, n in no_price.items()}
    return {"tickers": tickers, "dead_letters": dead_letters or {}, "unread": unread}


def test_items_are_counted_by_exchange_and_cause_with_an_example_of_each_unread_field() -> None:
    found = reading(
        message([item(BTCUSDT), item(BTCUSDT), item(ETHUSDT, c="0"), item(ETHUSDT, E="soon")]),
        message([item(ETHUSDT, E="later"), 7], offset=1),
        message(b"?", offset=2),
        message(
            [item(CRO_USDT), item(CRO_USDT, bestBid="")], KUCOIN.raw_topic, partition=2, offset=6
        ),
        message([item(CRO_USDT, bestBid="", size="\0")], KUCOIN.raw_topic, partition=2, offset=7),
    )
    assert found == {
        "binance": {
            "tickers": 2,
            "dead_letters": {
                "event_time can't be read": 2,
                "the item is no JSON object": 1,
                "the message is no JSON array": 1,
            },
            "unread": {
                "price is zero or less": {
                    "count": 1,
                    "written": "0",
                    "symbol": "ETHUSDT",
                    "partition": 0,
                    "offset": 0,
                    "position": 2,
                }
            },
        },
        "kucoin": {
            "tickers": 3,
            "dead_letters": {},
            "unread": {
                "bid is empty": {
                    "count": 2,
                    "written": "",
                    "symbol": "CRO-USDT",
                    "partition": 2,
                    "offset": 6,
                    "position": 1,
                },
                "last_size is no number": {
                    "count": 1,
                    "written": "\ufffd",
                    "symbol": "CRO-USDT",
                    "partition": 2,
                    "offset": 7,
                    "position": 0,
                },
            },
        },
    }


def test_counts_of_one_cause_in_several_partitions_are_added_up() -> None:
    found = reading(
        *(message([item(ETHUSDT, c="")], partition=n, offset=10 - n) for n in range(3)),
        *(message([item(ETHUSDT, o="")], partition=n, offset=20 - n) for n in range(3)),
    )
    counts = {cause: seen["count"] for cause, seen in found["binance"]["unread"].items()}
    assert counts == {"price is absent": 3, "open_24h is empty": 3}


def test_whatever_was_written_the_reading_is_json_that_postgres_takes() -> None:
    odd = ["\0", "\ud800", "😀" * 200, '"', "\\"]
    values = [json.dumps([item(CRO_USDT, bestBid=written)]).encode() for written in odd]
    found = reading(*(message(value, KUCOIN.raw_topic, offset=n) for n, value in enumerate(values)))
    text = json.dumps(found)
    assert "\\u0000" not in text
    json.loads(text)["kucoin"]["unread"]["bid is no number"]["written"].encode()


def test_a_batch_of_nothing_is_a_reading_of_nothing() -> None:
    assert reading() == {}
    assert reading(message([])) == {}


def test_the_cause_of_a_reason_is_without_the_value() -> None:
    assert cause_of("price can't be read: a:b") == "price can't be read"
    assert cause_of("symbol is missing") == "symbol is missing"


def test_the_share_is_of_dead_letters_and_prices_that_are_none() -> None:
    readings: list[Reading] = [
        {"binance": of_exchange(6), "kucoin": of_exchange(0, {"symbol is missing": 2})},
        {"binance": of_exchange(0, {"sequence is missing": 1}, is_absent=3)},
    ]
    assert shares_of(readings) == {
        "binance": Share(0.4, "price is absent"),
        "kucoin": Share(1.0, "symbol is missing"),
    }


def test_another_field_that_is_unread_leaves_the_share_as_it_is() -> None:
    unread = {"bid is empty": {"count": 50}, "price_of_all is empty": {"count": 50}}
    assert shares_of([{"binance": {**of_exchange(1), "unread": unread}}]) == {
        "binance": Share(0.0, "")
    }


def test_an_exchange_that_sent_nothing_has_no_share() -> None:
    assert shares_of([]) == {}
    assert shares_of([{}]) == {}


def test_the_last_minute_forgets_what_is_older() -> None:
    now = 100.0
    minute = LastMinute(lambda: now)
    minute.add({"binance": of_exchange(0, {"symbol is missing": 1})})
    now = 130.0
    minute.add({"binance": of_exchange(1)})
    assert minute.shares() == {"binance": Share(0.5, "symbol is missing")}
    now = 160.0
    assert minute.shares() == {"binance": Share(0.5, "symbol is missing")}
    now = 160.5
    assert minute.shares() == {"binance": Share(0.0, "")}
    now = 191.0
    assert minute.shares() == {}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_is_from_nothing_to_all(share: float) -> None:
    unreadable = round(share * 10)
    found = shares_of(
        [{"binance": of_exchange(10 - unreadable, {"symbol is missing": unreadable})}]
    )
    assert found["binance"].unreadable == share
