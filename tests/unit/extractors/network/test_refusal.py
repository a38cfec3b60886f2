"""Test reading the reason and the pause from an exchange's refusal."""

import json
import time
from email.utils import formatdate

import pytest

from extractors.network.refusal import demanded_pause, refusal, without_query

URL = "wss://host.example/ws/?token=s3cret%2Fpart&connectId=c0ffee"
NOW = "Thu, 26 Nov 2026 12:00:00 GMT"


def reason(status: int, body: str) -> str:
    return str(refusal("/list", URL, status, {}, body.encode()))


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            451,
            '{"code":0,"msg":"Service unavailable from a restricted location"}',
            "451 code 0: Service unavailable from a restricted location",
        ),
        (
            403,
            '{"code":"400302","msg":"Our services are currently unavailable in the U.S."}',
            "403 code 400302: Our services are currently unavailable in the U.S.",
        ),
        (
            400,
            '{"code":-1104,"msg":"Not all sent parameters were read"}',
            "400 code -1104: Not all sent parameters were read",
        ),
        (400, '{"code":-1100}', "400 code -1100"),
        (403, '{"message":"Forbidden"}', '403: {"message":"Forbidden"}'),
        (
            403,
            "<html><head><title>ERROR</title><style>p {x: y}</style></head><body>\n<p>Request blocked.",
            "403: ERROR Request blocked.",
        ),
        (503, "", "503"),
        (503, " \r\n", "503"),
        (503, "[1]", "503: [1]"),
    ],
)
def test_reason_has_status_code_and_message(status: int, body: str, expected: str) -> None:
    assert reason(status, body) == f"refused: /list answered {expected}"


@pytest.mark.parametrize(
    "body",
    [
        "not with /ws/?token=s3cret%2Fpart&connectId=c0ffee",
        "no s3cret/part here",
        "no s3cret%2Fpart here",
        json.dumps({"code": "400", "msg": "token s3cret/part is invalid"}),
        "<p>GET https://host.example/ws/?token=s3cret%2Fpart</p>",
    ],
)
def test_reason_shows_neither_token_nor_query(body: str) -> None:
    text = reason(401, body)
    assert "s3cret" not in text and "c0ffee" not in text
    assert text.startswith("refused: /list answered 401")


def test_short_value_of_a_query_does_not_mutilate_the_reason() -> None:
    url = "wss://host.example/?v=2&token=s3cret-part"
    error = refusal("handshake", url, 403, {}, b'{"code":"400302","msg":"not in 2 places"}')
    assert str(error) == "refused: handshake answered 403 code 400302: not in 2 places"


def test_reason_is_one_line_of_bounded_length() -> None:
    text = without_query("a\nb\x00c\ud800" + "x" * 10_000, URL)
    assert text.startswith("a b c x") and text.endswith("x…")
    assert len(text) == 200


def test_bytes_that_are_no_text_are_still_a_reason() -> None:
    assert str(refusal("/list", URL, 500, {}, b"\xff\xfe")) == "refused: /list answered 500: ��"


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, 0.0),
        (429, {"retry-after": "7"}, 7.0),
        (418, {"retry-after": "259200"}, 259_200.0),
        (418, {"retry-after": "9" * 400}, 259_200.0),
        (503, {"retry-after": " 20 "}, 20.0),
        (429, {"retry-after": "1.5"}, 1.5),
        (429, {"retry-after": "-5"}, 0.0),
        (429, {"retry-after": "soon"}, 0.0),
        (429, {"retry-after": "Thu, 99999999999 Nov 2026 11:00:00 GMT"}, 0.0),
        (429, {"retry-after": ""}, 0.0),
        (429, {"retry-after": "Thu, 26 Nov 2026 12:01:30 GMT", "date": NOW}, 90.0),
        (429, {"retry-after": "Thu, 26 Nov 2026 11:00:00 GMT", "date": NOW}, 0.0),
        (429, {"retry-after": "Thu, 26 Nov 2099 11:00:00 GMT", "date": NOW}, 259_200.0),
        (429, {"gw-ratelimit-reset": "14000"}, 14.0),
        (429, {"gw-ratelimit-reset": "soon"}, 0.0),
        # Every response has this header; only with 429 is it the reason of the refusal.
        (403, {"gw-ratelimit-reset": "14000"}, 0.0),
        (200, {"gw-ratelimit-reset": "14000"}, 0.0),
    ],
)
def test_demanded_pause_is_read_in_seconds(
    status: int, headers: dict[str, str], seconds: float
) -> None:
    assert demanded_pause(status, headers, "gw-ratelimit-reset") == seconds


def test_date_without_a_server_clock_is_compared_with_ours() -> None:
    pause = demanded_pause(429, {"retry-after": formatdate(time.time() + 100, usegmt=True)})
    assert 90.0 < pause <= 100.0
