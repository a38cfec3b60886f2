"""Read the reason and the demanded pause from an exchange's refusal."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from exchanges.exchange import (
    CUT,
    ExchangeError,
    InvalidRequestError,
    coded_reason,
    one_line,
)
from exchanges.json_text import read_json
from extractors.network.ban import Ban

LONGEST_PAUSE = 3 * 24 * 3600.0
"""Maximum pause in seconds. Binance bans an address for up to three days (rest-api.md, IP limits)."""

INVALID_REQUEST = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
"""Statuses of requests that the server can't serve, however often they are sent."""

SHORTEST_SECRET = 6
"""Minimum length of a query's value to hide. A shorter one, such as the 2 of v=2, may occur anywhere."""


@contextmanager
def respecting_ban(ban: Ban) -> Iterator[None]:
    """Guard one request: a refusal that demands a pause begins or extends the ban.

    Raise ExchangeError without entering the block while the ban lasts.
    """
    if left := ban.left():
        raise ExchangeError(
            "refused", f"no request for {left:.0f} s, as the exchange demanded", retry_after=left
        )
    try:
        yield
    except ExchangeError as error:
        ban.extend(error.retry_after)
        raise


def refusal(
    asked: str,
    url: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    reset_header: str = "",
    at_once: bool = False,
) -> ExchangeError:
    """Return the error for an unsuccessful response.

    `asked` names the request. The names of `headers` are in lower case. The server's own text passes
    through without_query.
    """
    reason = _reason(str(body, "utf-8", "replace"))
    kind = InvalidRequestError if status in INVALID_REQUEST else ExchangeError
    return kind(
        "refused",
        f"{asked} answered {status}{without_query(reason, url)}",
        at_once=at_once,
        retry_after=demanded_pause(status, headers, reset_header),
        status=status,
    )


def without_query(text: str, url: str) -> str:
    """Return the text on one line, without values of the URL's query that may be secret.

    A server may echo them, decoded or as in the URL. A value shorter than SHORTEST_SECRET is kept.
    """
    query = urlsplit(url).query
    encoded = [part.partition("=")[2] for part in query.split("&")]
    for value in (*encoded, *(value for _, value in parse_qsl(query))):
        if len(value) >= SHORTEST_SECRET:
            text = text.replace(value, CUT)
    return one_line(text)


def _reason(text: str) -> str:
    """Return the text after "answered 403": code and message, or the text of any other body."""
    try:
        answer = read_json(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and "code" in answer:
        return coded_reason(answer)
    # Gateways send HTML pages: keep only their text.
    words = re.sub(r"(?s)<(style|script)\b.*?</\1>|<[^>]*>", " ", text).split()
    return f": {' '.join(words)}" if words else ""


def demanded_pause(status: int, headers: Mapping[str, str], reset_header: str = "") -> float:
    """Return the pause in seconds that a refusal demands, up to LONGEST_PAUSE (0 if none).

    `Retry-After` (RFC 9110) has seconds or a date. The exchange's own `reset_header` has milliseconds;
    every response may contain it, but only 429 means that the limit was reached.
    """
    value = headers.get("retry-after", "").strip()
    if value:
        is_number = re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII)
        pause = float(value) if is_number else _seconds_until(value, headers.get("date"))
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        milliseconds = headers.get(reset_header, "").strip()
        pause = float(milliseconds) / 1000 if milliseconds.isdecimal() else 0.0
    else:
        pause = 0.0
    return min(max(pause, 0.0), LONGEST_PAUSE)


def _seconds_until(date: str, now: str | None) -> float:
    """Return the seconds until a date (0 if invalid). `now` is the server's: our clock may be wrong."""
    try:
        then = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    try:
        return then - parsedate_to_datetime(now or "").timestamp()
    except (ValueError, OverflowError):
        return then - time.time()
