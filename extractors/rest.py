"""The list of an exchange's symbols over plain HTTP, asked for again where the exchange is busy."""

from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from extractors.feed import FeedError, Instrument, read_json

TIME_LIMITS = (5.0, 20.0)
"""Seconds to connect, and seconds between two bytes of the answer."""

BUSY = (429, 500, 502, 503, 504)
RETRY = Retry(total=3, backoff_factor=1.0, status_forcelist=BUSY, raise_on_status=False)
"""Three more times, after 0, 2 and 4 seconds, or as long as the answer's Retry-After says."""


def get_instruments(url: str, read: Callable[[Any], list[Instrument]]) -> list[Instrument]:
    """What `read` finds in the JSON value at the URL: at least one, or every symbol would seem gone.

    Raises FeedError for another answer, OSError for none.
    """
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=RETRY))
        answer = session.get(url, timeout=TIME_LIMITS)
    path = answer.request.path_url
    if answer.status_code != 200:
        raise FeedError("refused", f"{path} answered {answer.status_code}")
    try:
        instruments = read(read_json(answer.text))
    except (ValueError, LookupError, TypeError) as error:
        raise FeedError("unreadable", f"{path}: {error!r}") from error
    if not instruments:
        raise FeedError("unreadable", f"{path}: no symbols")
    return instruments
