"""Parquet files of tickers, and their statistics for a Delta commit."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.columns import TICKER, arrow_schema
from spark_jobs.tickers.files import is_sorted, ticker_files
from spark_jobs.tickers.reader import read_messages
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, RECEIVED_AT, item
from tests.support.messages import frame, message

DAY = 86_400_000_000


def files_of(*messages: tuple[str, list[Any]]) -> list[dict[str, Any]]:
    """Return rows of columns.TICKER_FILE from pairs of a topic and a message's items."""
    rows = [message(items, topic) for topic, items in messages]
    return ticker_files(read_messages(frame(*rows))).to_dicts()


def by_partition(files: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["date"], each["exchange"]): each for each in files if each["content"]}


def rows_in(file: dict[str, Any]) -> pa.Table:
    return parquet.read_table(BytesIO(file["content"]))


def test_tickers_of_each_exchange_and_day_are_a_file_of_their_own_and_sorted_by_symbol() -> None:
    files = by_partition(
        files_of(
            (BINANCE.raw_topic, [item(ETHUSDT), item(BTCUSDT, RECEIVED_AT + 5), item(BTCUSDT)]),
            (BINANCE.raw_topic, [item(ETHUSDT, RECEIVED_AT + DAY)]),
            (KUCOIN.raw_topic, [item(CRO_USDT)]),
        )
    )
    assert {partition: each["tickers"] for partition, each in files.items()} == {
        ("2025-03-28", "binance"): 3,
        ("2025-03-29", "binance"): 1,
        ("2025-03-28", "kucoin"): 1,
    }
    rows = rows_in(files["2025-03-28", "binance"])
    assert rows["symbol"].to_pylist() == ["BTCUSDT", "BTCUSDT", "ETHUSDT"]
    assert rows["position"].to_pylist() == [2, 1, 0]


def test_a_file_has_the_columns_and_types_of_the_table_without_those_of_its_path() -> None:
    [file] = files_of((KUCOIN.raw_topic, [item(CRO_USDT)]))
    table = rows_in(file)
    expected = arrow_schema({name: TICKER[name] for name in TICKER if name != "exchange"})
    assert table.schema.equals(expected)
    [row] = table.to_pylist()
    assert row["price"] == Decimal("0.10604")
    assert row["open_24h"] is None
    assert row["received_at"] == datetime(2025, 3, 28, 7, 37, 28, 501233, UTC)


def test_statistics_hold_every_value_though_times_are_in_milliseconds() -> None:
    late = RECEIVED_AT + 767  # .502000 exactly
    [file] = files_of((BINANCE.raw_topic, [item(ETHUSDT, late), item(BTCUSDT)]))
    assert json.loads(file["statistics"]) == {
        "numRecords": 2,
        "minValues": {
            "symbol": "BTCUSDT",
            "received_at": "2025-03-28T07:37:28.501Z",
            "event_time": "2025-03-28T07:37:28.251Z",
        },
        "maxValues": {
            "symbol": "ETHUSDT",
            "received_at": "2025-03-28T07:37:28.502Z",
            "event_time": "2025-03-28T07:37:28.467Z",
        },
        "nullCount": {"symbol": 0, "received_at": 0, "event_time": 0},
    }


def test_a_file_says_that_it_is_sorted_and_others_do_not() -> None:
    [file] = files_of((BINANCE.raw_topic, [item(ETHUSDT), item(BTCUSDT)]))
    assert is_sorted(parquet.read_metadata(BytesIO(file["content"])))
    plain = BytesIO()
    parquet.write_table(rows_in(file), plain)
    assert not is_sorted(parquet.read_metadata(plain))


def test_dead_letters_are_counted_and_are_in_no_file() -> None:
    *files, counted = files_of((BINANCE.raw_topic, ["bad", item(BTCUSDT), {"s": 1}]))
    assert [each["tickers"] for each in files] == [1]
    assert counted == dict.fromkeys(files[0]) | {"dead_letters": 2}


def test_a_batch_without_an_item_returns_nothing() -> None:
    assert files_of((BINANCE.raw_topic, [])) == []


def test_rows_take_less_room_than_with_plain_encodings() -> None:
    items = [
        item({**BTCUSDT, "s": f"COIN{n}USDT", "E": BTCUSDT["E"] + n}, RECEIVED_AT + 1000 * n)
        for n in range(2000)
    ]
    [file] = files_of((BINANCE.raw_topic, items))
    plain = BytesIO()
    parquet.write_table(rows_in(file), plain, compression="zstd", use_dictionary=False)
    assert len(file["content"]) < 0.9 * len(plain.getvalue())
