"""Whatever is read column by column has the values that are read one by one."""

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.message import candles_message
from spark_jobs.exchange_candles.column_reader import read_columns
from spark_jobs.exchange_candles.reader import SCHEMA, read_candles, rows_of
from spark_jobs.exchange_candles.request import origin_of
from tests.unit.spark_jobs.exchange_candles.test_reader import (
    KLINE,
    KUCOIN_CANDLE,
    MINUTE,
    fields,
    record,
)

ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, "", " 1", "1 ", "+1", "1e3", "1E-19", ".5", "5.", "-3", "0", "0.0", "NaN"),
        *("0." + "1" * 18, "0." + "1" * 19, "0." + "1" * 18 + "00", "9" * 20, "9" * 21, "\u0661"),
        *(0, -1, 7, 7.0, 2**62, 2**63, 2**70, 1.5e300, [], {}, ["1"], MINUTE, str(MINUTE)),
        *((MINUTE + 60) * 1000, (MINUTE + 600) * 1000, str(MINUTE + 60), str(MINUTE + 1)),
        *("85430", "85450.01", "100000", "0.1060", "\x00", "\ud800", "1\n"),
    ]
)
KLINES: dict[str, list[Any]] = {"binance": KLINE, "kucoin": KUCOIN_CANDLE}


def message(exchange: str, found: list[Any], **changed: Any) -> dict[str, Any]:
    response = found if exchange == "binance" else {"code": "200000", "data": found}
    value = candles_message(fields(exchange=exchange, **changed), json.dumps(response))
    return {"value": value, **record()}


def assert_read_alike(read: dict[str, Any]) -> None:
    one_by_one = pa.Table.from_pylist([*rows_of(read)], SCHEMA)
    assert read_candles(pa.RecordBatch.from_pylist([read])).equals(one_by_one)


@st.composite
def candles(draw: st.DrawFn, exchange: str) -> list[Any]:
    """Return a candle, usually a right one."""
    candle = [*KLINES[exchange]]
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        candle[draw(st.integers(0, len(candle) - 1))] = draw(ODD)
    return candle[: draw(st.sampled_from([12, 12, 12, 12, 6]))]


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    exchange = draw(st.sampled_from(sorted(KLINES)))
    found = draw(st.lists(candles(exchange) | ODD if draw(st.booleans()) else candles(exchange)))
    if draw(st.booleans()):
        # A whole column of one kind.
        position, odd = draw(st.integers(0, 6)), draw(ODD)
        found = [
            [*each[:position], odd, *each[position + 1 :]] for each in found if type(each) is list
        ]
    changed: dict[str, Any] = draw(
        st.sampled_from(
            [
                *({}, {}, {}, {"reason": "no"}, {"interval": "1h"}, {"interval": "7m"}),
                *({"from": "1"}, {"received_at": 0}, {"received_at": 1.5}, {"symbol": ""}),
            ]
        )
    )
    return message(exchange, found, **changed)


@given(messages())
def test_both_readers_return_the_same_rows(drawn: dict[str, Any]) -> None:
    assert_read_alike(drawn)


@pytest.mark.parametrize("written", [0, 7, MINUTE])
@pytest.mark.parametrize("position", range(7))
def test_a_column_of_whole_numbers_is_read_by_both_alike(position: int, written: int) -> None:
    for exchange, candle in KLINES.items():
        changed = [*candle[:position], written, *candle[position + 1 :]]
        assert_read_alike(message(exchange, [changed] * 2))


def test_candles_in_their_usual_form_are_read_together() -> None:
    for exchange, candle in KLINES.items():
        value = message(exchange, [candle] * 3)["value"]
        read = read_columns(value, origin_of(record()))
        assert read is not None and read[1].height == 3
