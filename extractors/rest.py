"""Requests to an exchange's REST server: few, one at a time, and none while a ban lasts."""

import zlib
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import urlsplit

from extractors.ban import Ban
from extractors.deadline import Deadline
from extractors.refusal import obeying, refusal
from extractors.stream import opened_stream

HEADERS = {"User-Agent": "cryptopricesrt", "Accept": "application/json", "Accept-Encoding": "gzip"}

LONGEST_BODY = 64_000_000
"""Bytes of an answer that are read. Binance's symbol list has 10 million or more."""

_GZIP = 16 + zlib.MAX_WBITS


def ask(method: str, url: str, ban: Ban, deadline: Deadline) -> str:
    """Return the text of a successful answer, without following redirects or trying again.

    Raise FeedError for another answer or while a ban lasts, OSError for none.
    """
    with obeying(ban):
        with opened_stream(url, deadline) as stream, closing(stream):
            address = urlsplit(url)
            connection = HTTPConnection(address.netloc)
            connection.sock = stream
            try:
                connection.request(
                    method,
                    f"{address.path}?{address.query}" if address.query else address.path,
                    headers={**HEADERS, "Host": address.netloc},
                )
                with connection.getresponse() as answer:
                    body = _body(answer)
            except HTTPException as error:
                raise ConnectionError(f"{address.path}: {error!r:.200}") from error
        if answer.status != 200:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            raise refusal(address.path, url, answer.status, headers, body)
    return str(body, "utf-8", "replace")


def _body(answer: HTTPResponse) -> bytes:
    body = answer.read(LONGEST_BODY)
    if answer.headers.get("content-encoding") != "gzip":
        return body
    try:
        return zlib.decompressobj(_GZIP).decompress(body, LONGEST_BODY)
    except zlib.error as error:
        raise ConnectionError(f"an answer that is no gzip: {error}") from error
