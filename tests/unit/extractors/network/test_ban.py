"""Test that no request is sent before the end of the pause that an exchange demanded."""

import pytest

from exchanges.exchange import ExchangeError
from extractors.network.ban import Ban
from extractors.network.deadline import Deadline
from extractors.network.refusal import respecting_ban
from extractors.network.rest import ask
from extractors.receive.open_socket import connect
from tests.support.clock import Clock
from tests.support.exchange_clients import binance_client, kucoin_client
from tests.support.loopback import bullet, http_server
from tests.support.waiting import DEADLINE

THREE_DAYS = 259_200.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_ban_lasts_as_long_as_was_demanded(clock: Clock) -> None:
    ban = Ban(clock)
    assert ban.left() == 0.0
    ban.extend(THREE_DAYS)
    clock.now += THREE_DAYS - 1
    assert ban.left() == 1.0
    clock.now += 1
    assert ban.left() == 0.0


def test_shorter_demand_does_not_shorten_a_ban(clock: Clock) -> None:
    ban = Ban(clock)
    ban.extend(120.0)
    ban.extend(7.0)
    ban.extend(0.0)
    assert ban.left() == 120.0


def test_request_during_a_ban_is_refused_before_it_begins(clock: Clock) -> None:
    ban = Ban(clock)
    ban.extend(60.0)
    begun = []
    with pytest.raises(ExchangeError) as refused:
        with respecting_ban(ban):
            begun.append(True)
    assert begun == []
    assert str(refused.value) == "refused: no request for 60 s, as the exchange demanded"
    assert (refused.value.cause, refused.value.retry_after) == ("refused", 60.0)


def test_refused_request_begins_the_ban_and_stays_the_error(clock: Clock) -> None:
    ban = Ban(clock)
    with pytest.raises(ExchangeError, match=r"^refused: teapot$"):
        with respecting_ban(ban):
            raise ExchangeError("refused", "teapot", retry_after=5.0)
    assert ban.left() == 5.0


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (418, {"Retry-After": "259200"}, THREE_DAYS),
        (429, {"Retry-After": "30"}, 30.0),
        (429, {"gw-ratelimit-reset": "14000"}, 14.0),
        (403, {"Retry-After": "300"}, 300.0),
        (
            429,
            {
                "Date": "Thu, 26 Nov 2026 12:00:00 GMT",
                "Retry-After": "Thu, 26 Nov 2026 12:02:00 GMT",
            },
            120.0,
        ),
    ],
)
def test_exchange_is_asked_once_until_its_ban_is_over(
    clock: Clock, status: int, headers: dict[str, str], seconds: float
) -> None:
    asked: list[None] = []

    def body() -> str:
        asked.append(None)
        return ""

    ban = Ban(clock, reset_header="gw-ratelimit-reset")

    def request() -> float:
        with pytest.raises(ExchangeError) as refused:
            ask("GET", f"{url}/list", ban, Deadline(DEADLINE))
        return refused.value.retry_after

    with http_server(body, status, headers) as url:
        end = clock.now + seconds
        assert request() == seconds
        for _ in range(5):
            clock.now += seconds / 6
            assert request() == pytest.approx(end - clock.now)
        assert len(asked) == 1
        clock.now += seconds / 6
        request()
    assert len(asked) == 2


def test_ban_of_the_symbol_list_holds_for_the_token_and_the_handshake(clock: Clock) -> None:
    answers = iter([(418, ""), (200, bullet("ws://127.0.0.1:9", "t"))])
    asked: list[tuple[int, str]] = []

    def status() -> int:
        asked.append(next(answers))
        return asked[-1][0]

    with http_server(lambda: asked[-1][1], status, {"Retry-After": "120"}) as url:
        kucoin, binance = kucoin_client(url), binance_client(rest_url=url)
        kucoin.ban = binance.ban = Ban(clock)
        with pytest.raises(ExchangeError, match=r"^refused: /api/v2/symbols answered 418$"):
            kucoin.symbol_list()
        for client in (kucoin, binance):
            with pytest.raises(ExchangeError, match=r"^refused: no request for 120 s"):
                connect(client)
        assert len(asked) == 1
        clock.now += 120.0
        with pytest.raises(OSError, match="Connection refused"):
            connect(kucoin)
    assert len(asked) == 2
