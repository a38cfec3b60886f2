"""Which requests have a valid key or session."""

import pytest
from starlette.requests import HTTPConnection

from server.access.keys import SESSION_SECONDS, ApiKey

KEY = "0123456789abcdef0123456789abcdef"


def request(**headers: str) -> HTTPConnection:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return HTTPConnection({"type": "websocket", "headers": raw})


@pytest.mark.parametrize(
    "shown",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"BEARER  {KEY}"},
        {"x_api_key": KEY},
        {"authorization": "Basic dXNlcjpwYXNz", "x_api_key": KEY},
    ],
)
def test_the_key_is_admitted(shown: dict[str, str]) -> None:
    assert ApiKey(KEY).admits(request(**shown))


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"authorization": KEY},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"x_api_key": f"{KEY}0"},
        {"x_api_key": ""},
        {"x_api_key": "schlüssel"},
        {"cookie": f"session={KEY}"},
        {"cookie": "session="},
        {"cookie": "session=ß.ß"},
    ],
)
def test_nothing_else_is_admitted(shown: dict[str, str]) -> None:
    assert not ApiKey(KEY).admits(request(**shown))


def test_a_session_is_valid_until_its_end_and_for_its_key() -> None:
    now = 1_750_000_000.0
    session = ApiKey(KEY, lambda: now).session()
    shown = request(cookie=f"other=1; session={session}")

    assert session.startswith(f"{now + SESSION_SECONDS:.0f}.")
    assert ApiKey(KEY, lambda: now + SESSION_SECONDS - 1).admits(shown)
    assert not ApiKey(KEY, lambda: now + SESSION_SECONDS).admits(shown)
    assert not ApiKey(KEY[::-1], lambda: now).admits(shown)


def test_a_client_can_not_extend_its_session() -> None:
    end, _, signature = ApiKey(KEY).session().partition(".")

    assert not ApiKey(KEY).admits(request(cookie=f"session={int(end) + 1}.{signature}"))
    assert not ApiKey(KEY).admits(request(cookie=f"session=0{end}.{signature}"))
