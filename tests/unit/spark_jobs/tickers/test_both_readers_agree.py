"""Check that column_reader and element_reader return the same rows for any message, in every column.

With SOAK_SECONDS, look for a difference for that many seconds: make soak-reader.
"""

import os
import time
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.tickers.column_reader import read_columns
from spark_jobs.tickers.columns import READ, REDUCED, polars_schema
from spark_jobs.tickers.element_reader import read_elements
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reducer import reduce_to_minutes
from tests.support.frames import (
    BTCUSDT,
    CRO_USDT,
    ETHUSDT,
    RECEIVED_AT,
    item,
    recorded_kucoin_frames,
)
from tests.support.messages import frame, in_order, message
from tests.support.odd_items import bodies, mostly

SECONDS = float(os.environ.get("SOAK_SECONDS", "0"))
EXAMPLES = 2_000 if SECONDS else 150

STAMPS = st.sampled_from(
    [
        *[None, datetime(2025, 3, 28, 7, 40, tzinfo=UTC)] * 5,
        datetime(2025, 3, 28, 7, 22, 28, 501233, tzinfo=UTC),
        datetime(2025, 3, 28, 7, 22, 28, 501232, tzinfo=UTC),
    ]
)


@st.composite
def batches(draw: st.DrawFn) -> pl.DataFrame:
    """Generate messages of one topic."""
    topic = draw(st.sampled_from([BINANCE.raw_topic, KUCOIN.raw_topic]))
    values = draw(st.lists(mostly(bodies(topic), st.none(), one_in=20), min_size=1, max_size=4))
    return frame(
        *(
            message(value, topic, partition=2, offset=7 + n, timestamp=draw(STAMPS))
            for n, value in enumerate(values)
        )
    )


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(batches())
def look_for_a_difference(messages: pl.DataFrame) -> None:
    rows, left = read_columns(messages)
    taken = messages.join(left, on="offset", how="anti")
    event(f"{len(taken)} of {len(messages)} messages taken by read_columns")
    reference = read_elements(messages)

    assert rows.schema == reference.schema == polars_schema(READ)
    assert in_order(rows) == in_order(read_elements(taken))
    assert in_order(read_messages(messages)) == in_order(reference)
    assert reduce_to_minutes(reference).schema == polars_schema(REDUCED)


@pytest.mark.long
def test_both_readers_read_any_message_alike() -> None:
    end = time.monotonic() + SECONDS
    look_for_a_difference()
    while time.monotonic() < end:
        look_for_a_difference()


@pytest.mark.parametrize(
    ("topic", "frames"),
    [
        (BINANCE.raw_topic, [BTCUSDT, ETHUSDT]),
        (KUCOIN.raw_topic, [CRO_USDT, *recorded_kucoin_frames()]),
    ],
)
def test_ordinary_messages_are_all_taken_by_the_column_reader(
    topic: str, frames: list[dict[str, object]]
) -> None:
    items = [item(each, RECEIVED_AT) for each in frames]
    messages = frame(*(message(items * n, topic, offset=n) for n in range(1, 30)))
    rows, left = read_columns(messages)
    assert len(left) == 0
    assert len(rows) == len(frames) * sum(range(1, 30))
    assert in_order(rows) == in_order(read_elements(messages))
