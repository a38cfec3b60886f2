"""Values are exactly what was written, or are refused with a reason."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.tickers.values import (
    EARLIEST,
    LATEST,
    Number,
    Unreadable,
    amount,
    microseconds,
    milliseconds,
    name,
    shown,
    whole_number,
)
from tests.support.messages import short

MEGABYTE = 1_000_000


def reason(read: Callable[[Any], Any], written: Any) -> str:
    with pytest.raises(Unreadable) as refused:
        read(written)
    return str(refused.value)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0.00000001", "0.00000001"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("1.500000000000000000000000", "1.5"),
        ("0000000000000000000000007", "7"),
        ("0", "0"),
        ("-0.0", "0"),
        ("-3.5", "-3.5"),
        ("+1", "1"),
        ("1.", "1"),
        (".5", "0.5"),
        ("1e3", "1000"),
        ("1.46E-6", "0.00000146"),
        ("1E+0000000001", "10"),
        ("1E-18", "0.000000000000000001"),
        ("12345678901234567890123456789E-18", "12345678901.234567890123456789"),
        ("1" + "0" * 50 + "E-50", "1"),
        ("0E-99999", "0"),
    ],
)
def test_an_amount_is_exactly_what_was_written(written: str, value: str) -> None:
    read = [amount(written), amount(Number(written))]
    assert read == [Decimal(value)] * 2
    assert read[0].as_tuple().exponent == -18


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("abc", "is no number"),
        (" ", "is no number"),
        (" 1", "is no number"),
        ("1 ", "is no number"),
        ("1\n", "is no number"),
        ("1\0", "is no number"),
        ("NaN", "is no number"),
        (Number("NaN"), "is no number"),
        ("Infinity", "is no number"),
        (Number("-Infinity"), "is no number"),
        ("0x10", "is no number"),
        ("1,5", "is no number"),
        ("1_0", "is no number"),
        ("٣", "is no number"),
        (".", "is no number"),
        ("E5", "is no number"),
        ("1E", "is no number"),
        (True, "is no number"),
        (None, "is no number"),
        ({}, "is no number"),
        (["1"], "is no number"),
        ("", "is empty"),
        ("1" * 21, "has more than 20 digits before the point"),
        ("-" + "1" * 21, "has more than 20 digits before the point"),
        ("1E20", "has more than 20 digits before the point"),
        ("0.0000000000000000001", "has more than 18 decimals"),
        ("1.2708784448066809961", "has more than 18 decimals"),
        ("1E-19", "has more than 18 decimals"),
    ],
)
def test_an_amount_that_would_not_be_exact_is_refused_with_the_reason(
    written: Any, expected: str
) -> None:
    assert reason(amount, written) == expected


@given(st.decimals(-(10**19), 10**19, places=18))
def test_any_decimal_is_read_from_each_of_its_spellings(value: Decimal) -> None:
    for written in (str(value), f"{value:f}", f"{value:E}", f"{value:f}000"):
        assert amount(written) == value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("915875484", 915875484),
        (Number("915875484"), 915875484),
        ("1.0", 1),
        (Number("1E3"), 1000),
        ("-0", 0),
        ("00000000000000000000000000000000007", 7),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("922337203685477580.7E1", 2**63 - 1),
    ],
)
def test_a_whole_number_has_any_spelling_of_64_bits(written: str, value: int) -> None:
    assert whole_number(written) == value


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", "is empty"),
        ("soon", "is no number"),
        (False, "is no number"),
        ("1.5", "is no whole number"),
        ("1E-30", "is no whole number"),
        ("9223372036854775808", "is out of range"),
        ("-9223372036854775809", "is out of range"),
        ("1E19", "is out of range"),
        ("1E99", "is out of range"),
        ("7" * 4_301, "is out of range"),
    ],
    ids=short,
)
def test_what_is_no_whole_number_of_64_bits_is_refused(written: Any, expected: str) -> None:
    assert reason(whole_number, written) == expected


def test_times_are_microseconds_from_2000_to_2100() -> None:
    assert milliseconds(Number("1743147448467")) == 1743147448467000
    assert microseconds("1743147448501233") == 1743147448501233
    assert [milliseconds(str(at // 1000)) for at in (EARLIEST, LATEST)] == [EARLIEST, LATEST]
    for read, unit in ((milliseconds, 1000), (microseconds, 1)):
        for at in (0, -1, EARLIEST // unit - 1, LATEST // unit + 1, 2**63 - 1):
            assert reason(read, str(at)) == "is out of range"


@pytest.mark.parametrize("read", [amount, whole_number, milliseconds])
@pytest.mark.parametrize(
    "written",
    [
        "1" * MEGABYTE,
        "1" * MEGABYTE + "x",
        "." + "0" * MEGABYTE + "1",
        "." + "0" * MEGABYTE + "1E-999999",
        "1" * MEGABYTE + "E-999999",
        "1E999999999",
        "1E-999999999",
        "1E" + "9" * MEGABYTE,
        "1E-" + "9" * MEGABYTE,
    ],
    ids=lambda written: f"{written[:3]} to {written[-3:]} of {len(written)}",
)
def test_a_huge_number_is_refused_at_once(read: Callable[[Any], Any], written: str) -> None:
    began = time.process_time()
    reason(read, written)
    # If the time grew with the square of the length, this would take hours.
    assert time.process_time() - began < 1


def test_a_name_is_a_text_that_a_key_of_postgres_can_be() -> None:
    assert name("币安人生USDT") == "币安人生USDT"
    assert name("币" * 100) == "币" * 100
    assert reason(name, "币" * 101) == "has more than 100 characters"
    assert reason(name, "") == "is empty"
    assert reason(name, "A\0B") == "has a NUL character"
    assert reason(name, "A\ud800") == "has a lone surrogate"
    no_texts: list[Any] = [Number("7"), True, None, {}, []]
    for no_text in no_texts:
        assert reason(name, no_text) == "is no text"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (Number("1.10"), "1.10"),
        ("", ""),
        ({"a": 1}, "an object"),
        ([1], "an array"),
        ("A\0B", "A\ufffdB"),
        ("A\ud800", "A?"),
        ("币" * 101, "币" * 100),
    ],
    ids=short,
)
def test_what_was_written_is_shown_in_up_to_100_characters(written: Any, expected: str) -> None:
    assert shown(written) == expected
