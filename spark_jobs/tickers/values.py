"""Convert what is written in a message to exactly that value, or raise Unreadable with the reason.

JSON numbers are decoded as `Number`, so each keeps its digits until it is read here.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

UNIT = Decimal("1e-18")
EXACT = Context(prec=38, Emax=10**6, Emin=-(10**6), traps=[Inexact, InvalidOperation])
"""Context that raises an error if DECIMAL(38,18) would have to round."""

# No digit can match two parts. Otherwise, refusing a text of a million digits would take hours.
DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?Z"
)

NAME_LENGTH = 100
SHOWN_LENGTH = 100

# 2000-01-01 to 2100-01-01, in microseconds. Other times can't be a ticker's, and would overflow later.
EARLIEST, LATEST = 946_684_800_000_000, 4_102_444_800_000_000
MICROSECOND, MILLISECOND, SECOND = 1, 1000, 1_000_000

INT64 = 2**63

Read = Callable[[Any], Any]


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


def as_written(value: Any) -> str:
    """Return the JSON of a decoded value, with each number as it was written."""
    match value:
        case Number():
            return value
        case list():
            return f"[{','.join(map(as_written, value))}]"
        case dict():
            pairs = (f"{json.dumps(key)}:{as_written(each)}" for key, each in value.items())
            return f"{{{','.join(pairs)}}}"
        case _:
            return json.dumps(value, ensure_ascii=False)


class Unreadable(ValueError):
    """A value that can't be read; the message is the reason, such as "has more than 18 decimals"."""


def amount(written: Any) -> Decimal:
    """Return the number in a text or a JSON number, with or without an exponent. Nothing is rounded."""
    number = _decimal(written)
    try:
        return EXACT.quantize(number, UNIT)
    except Inexact as error:
        raise Unreadable("has more than 18 decimals") from error
    except InvalidOperation as error:
        raise Unreadable("has more than 20 digits before the point") from error


def whole_number(written: Any) -> int:
    """Return the 64-bit whole number in a text or a JSON number: `7`, `"7"`, `7.0` or `7E0`."""
    if isinstance(written, str) and INTEGER.fullmatch(written):
        number = int(written)
    else:
        exact = _decimal(written)
        if exact.adjusted() > 19:
            raise Unreadable("is out of range")
        if exact != exact.to_integral_value():
            raise Unreadable("is no whole number")
        number = int(exact)
    if not -INT64 <= number < INT64:
        raise Unreadable("is out of range")
    return number


def microseconds(written: Any) -> int:
    """Return a time that was written in microseconds since the epoch."""
    return _moment(written, MICROSECOND)


def milliseconds(written: Any) -> int:
    """Return a time that was written in milliseconds since the epoch, in microseconds."""
    return _moment(written, MILLISECOND)


def seconds(written: Any) -> int:
    """Return a time that was written in seconds since the epoch, in microseconds."""
    return _moment(written, SECOND)


UNIT_OF_TIME: dict[Read, int] = {
    seconds: SECOND,
    milliseconds: MILLISECOND,
    microseconds: MICROSECOND,
}
"""Microseconds in the unit of each function that reads a time since the epoch."""


def iso_8601(written: Any) -> int:
    """Return a UTC time such as 2025-03-28T07:37:28.501233Z in microseconds since the epoch.

    Digits after the microseconds are cut off.
    """
    found = ISO_8601.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        raise Unreadable("is no time in UTC")
    *parts, decimals = found.groups(default="")
    try:
        second = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError as error:
        raise Unreadable("is no time in UTC") from error
    return _in_range(int(second.timestamp()) * 1_000_000 + int(f"{decimals:0<6.6}"))


def name(written: Any) -> str:
    """Return a text of 1 to 100 characters that Postgres accepts in a key."""
    found = text(written)
    if not 0 < len(found) <= NAME_LENGTH:
        raise Unreadable("is empty" if not found else f"has more than {NAME_LENGTH} characters")
    return found


def text(written: Any) -> str:
    """Return a text that Postgres accepts: without NUL or lone surrogates."""
    if not isinstance(written, str) or isinstance(written, Number):
        raise Unreadable("is no text")
    if "\0" in written:
        raise Unreadable("has a NUL character")
    try:
        written.encode()
    except UnicodeEncodeError as error:
        raise Unreadable("has a lone surrogate") from error
    return written


def shown(written: Any) -> str:
    """Return up to 100 characters of what was written, without NUL, which Postgres refuses."""
    match written:
        case str():
            found = written[:SHOWN_LENGTH].replace("\0", "\ufffd")
            return found.encode(errors="replace").decode()
        case bool():
            return str(written).lower()
        case dict():
            return "an object"
        case list():
            return "an array"
    return "null"


def _decimal(written: Any) -> Decimal:
    if not isinstance(written, str):
        raise Unreadable("is no number")
    if not DECIMAL.fullmatch(written):
        raise Unreadable("is no number" if written else "is empty")
    try:
        return Decimal(written)
    except InvalidOperation as error:
        # The exponent has at least 19 digits.
        raise Unreadable("is out of range") from error


def _moment(written: Any, unit: int) -> int:
    return _in_range(whole_number(written) * unit)


def _in_range(at: int) -> int:
    if not EARLIEST <= at <= LATEST:
        raise Unreadable("is out of range")
    return at
