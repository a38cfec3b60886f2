"""The list of an exchange's symbols over plain HTTP."""

import pytest

from extractors.feed import FeedError, Instrument
from extractors.rest import get_instruments
from tests.support.feeds import NOWHERE
from tests.support.loopback import http_server


def instruments(symbols: list[str]) -> list[Instrument]:
    return [Instrument("binance", symbol, "BTC", "USDT", "TRADING") for symbol in symbols]


def test_what_is_found_in_the_json_value_comes_as_it_is() -> None:
    with http_server(lambda: '["BTCUSDT","币安人生USDT"]') as url:
        assert get_instruments(url, instruments) == instruments(["BTCUSDT", "币安人生USDT"])


@pytest.mark.parametrize("text", ["[]", "[1]", '{"code":1}', "7"])
def test_list_without_symbols_or_with_what_is_no_text_is_unreadable(text: str) -> None:
    with http_server(lambda: text) as url:
        with pytest.raises(FeedError, match=r"^unreadable: /list: "):
            get_instruments(f"{url}/list", lambda listing: instruments(listing[:]))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_server_that_is_busy_is_asked_again(status: int) -> None:
    statuses = iter([status, 200])
    with http_server(lambda: '["A"]', statuses.__next__) as url:
        assert get_instruments(url, instruments) == instruments(["A"])


def test_server_that_stays_busy_is_named_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.rest.RETRY.backoff_factor", 0.0)
    asked: list[None] = []

    def status() -> int:
        asked.append(None)
        return 503

    with http_server(lambda: "", status) as url:
        with pytest.raises(FeedError, match=r"^refused: /list answered 503$"):
            get_instruments(f"{url}/list", instruments)
    assert len(asked) == 4


def test_answer_that_is_no_success_is_named_by_path_and_status_and_not_repeated() -> None:
    statuses = iter([404, 200])
    with http_server(lambda: "[]", statuses.__next__) as url:
        with pytest.raises(FeedError) as error:
            get_instruments(f"{url}/api/v3/exchangeInfo?showPermissionSets=false", instruments)
    assert error.value.cause == "refused"
    assert str(error.value) == (
        "refused: /api/v3/exchangeInfo?showPermissionSets=false answered 404"
    )


@pytest.mark.parametrize(
    "text",
    ["", "<html>busy</html>", '{"symbols":[', "[" * 100_000],
    ids=["empty", "html", "cut off", "deep"],
)
def test_text_that_is_no_json_is_unreadable(text: str) -> None:
    with http_server(lambda: text) as url:
        with pytest.raises(FeedError, match=r"^unreadable: /list: ") as error:
            get_instruments(f"{url}/list", instruments)
    assert error.value.cause == "unreadable"


def test_server_that_is_not_there_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extractors.rest.RETRY.backoff_factor", 0.0)
    with pytest.raises(OSError, match="Connection refused"):
        get_instruments(f"http://{NOWHERE}/list", instruments)
