"""After an exchange renamed a key, earlier messages are read at the key's former name, by both readers."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

import polars as pl
import pytest

from exchanges.binance import BINANCE
from exchanges.exchange import Path
from spark_jobs.tickers import column_reader
from spark_jobs.tickers.column_reader import read_columns
from spark_jobs.tickers.element_reader import read_elements
from spark_jobs.tickers.fields import FIELDS, Field
from spark_jobs.tickers.reader import read_messages
from tests.support.frames import BTCUSDT, item
from tests.support.messages import by_columns, frame, in_order, message
from tests.unit.spark_jobs.tickers.test_both_readers_agree import look_for_a_difference

CACHED = (
    column_reader._types,  # noqa: SLF001
    column_reader._number_paths,  # noqa: SLF001
    column_reader._plain_values,  # noqa: SLF001
)
"""Functions whose results depend on the fields. They are cached: outside tests, fields never change."""

TICKER = item(BTCUSDT)


def renamed(**changes: Any) -> dict[str, Any]:
    """Return the ticker with other keys; None removes one."""
    return {key: value for key, value in {**TICKER, **changes}.items() if value is not None}


def field(name: str, *paths: Path) -> Field:
    return FIELDS[BINANCE.raw_topic][name]._replace(paths=paths)


@pytest.fixture
def paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Read Binance's tickers with the fields that the test names."""
    fields = cast("dict[str, dict[str, Field]]", FIELDS)
    changed = {name: field(name, *each) for name, each in request.param.items()}
    monkeypatch.setitem(fields, BINANCE.raw_topic, {**fields[BINANCE.raw_topic], **changed})
    for each in CACHED:
        each.cache_clear()
    yield
    monkeypatch.undo()
    for each in CACHED:
        each.cache_clear()


def read_alike(messages: pl.DataFrame) -> list[dict[str, Any]]:
    rows = in_order(read_messages(messages))
    assert rows == in_order(read_elements(messages))
    return rows


@pytest.mark.parametrize("paths", [{"price": [("last", "price"), ("lp",), ("c",)]}], indirect=True)
def test_the_newest_path_that_is_written_has_the_value(paths: None) -> None:
    messages = frame(
        message([TICKER], offset=0),
        message([renamed(c=None, lp="2")], offset=1),
        message([renamed(c="3", last={"price": "4"}), TICKER], offset=2),
        message([renamed(c=None, lp="5E-1", last={"price": None})], offset=3),
        message([renamed(c=None, last={"other": 1})], offset=4),
    )
    by_columns(messages)
    rows = read_alike(messages)
    assert [(row["kind"], row["offset"], row["price"]) for row in rows] == [
        ("ticker", 0, Decimal("85439.99")),
        ("ticker", 1, Decimal(2)),
        ("ticker", 2, Decimal(4)),
        ("ticker", 2, Decimal("85439.99")),
        ("ticker", 3, Decimal("0.5")),
        ("unread", 4, None),
    ]


@pytest.mark.parametrize(
    "paths", [{"price": [("price",)], "open_24h": [("timestamp",)]}], indirect=True
)
@pytest.mark.parametrize("price", ["1.50", "15e-1"])
def test_a_key_may_have_the_name_of_a_column(paths: None, price: str) -> None:
    """The reader's columns have the names of the ticker's columns and of the message's."""
    changed = renamed(c=None, o=None, price=price, timestamp="x")
    ticker, *unread = read_alike(frame(message([changed])))
    assert (ticker["kind"], ticker["price"]) == ("ticker", Decimal("1.5"))
    assert [row["field"] for row in unread] == ["open_24h"]


@pytest.mark.parametrize("paths", [{"sequence": [("u",), ("E",)]}], indirect=True)
def test_a_former_number_may_be_a_text_now(paths: None) -> None:
    """Binance's sequence shares the key E with the time, which is a JSON number."""
    messages = frame(message([TICKER, renamed(u="17")]))
    by_columns(messages)
    assert [row["sequence"] for row in read_alike(messages)] == [1743147448467, 17]


@pytest.mark.parametrize("paths", [{"price": [("c", "last"), ("c",)]}], indirect=True)
def test_a_value_that_became_an_object_is_read_item_by_item(paths: None) -> None:
    messages = frame(message([TICKER]))
    _rows, left = read_columns(messages)
    assert len(left) == 1
    (ticker,) = read_alike(messages)
    assert ticker["price"] == Decimal("85439.99")


@pytest.mark.long
@pytest.mark.parametrize(
    "paths",
    [{"price": [("x",), ("c",)], "sequence": [("C",), ("E",)], "symbol": [("", "s"), ("s",)]}],
    indirect=True,
)
def test_both_readers_read_any_message_alike(paths: None) -> None:
    look_for_a_difference()
