from datetime import UTC, datetime, timedelta

import pytest

from server.fields import Exchange
from server.rest.readiness import Readiness, readiness
from server.state.price_table import PriceTable, Reading
from server.state.unreadable import Unreadable
from tests.support.live_job import price

NOW = datetime(2025, 3, 28, 12, tzinfo=UTC)
LIMITS: dict[Exchange, float] = {"binance": 30.0, "kucoin": 60.0}


def state(
    away_since: datetime | None = None,
    unreadable: dict[str, Unreadable] | None = None,
    /,
    **ages: float,
) -> Readiness:
    """Return the readiness with a price of each age, and an older one of another symbol."""
    prices = [
        price(exchange, symbol, "1", received_at=NOW - timedelta(seconds=age + older))
        for exchange, age in ages.items()
        for symbol, older in (("A", 0), ("B", 999))
    ]
    known = PriceTable(Reading("e", 1, None, prices))
    return readiness(known, unreadable or {}, away_since, LIMITS, NOW)


def test_it_is_ready_while_the_newest_price_of_each_exchange_is_within_its_limit() -> None:
    result = state(binance=30.0, kucoin=59.5)

    assert result.ready
    assert [(e.exchange, e.age_seconds, e.limit_seconds, e.fresh) for e in result.exchanges] == [
        ("binance", 30.0, 30.0, True),
        ("kucoin", 59.5, 60.0, True),
    ]


@pytest.mark.parametrize(
    ("ages", "fresh"),
    [
        ({"binance": 30.001, "kucoin": 1.0}, [False, True]),
        ({"binance": 1.0, "kucoin": 61.0}, [True, False]),
        ({"binance": 1.0}, [True, False]),
        ({}, [False, False]),
    ],
)
def test_one_exchange_with_old_or_missing_prices_makes_it_not_ready(
    ages: dict[str, float], fresh: list[bool]
) -> None:
    result = state(**ages)

    assert not result.ready
    assert [each.fresh for each in result.exchanges] == fresh


@pytest.mark.parametrize(
    ("share", "readable"), [(0.0, True), (0.5, True), (0.501, False), (1.0, False)]
)
def test_one_mostly_unreadable_exchange_makes_it_not_ready(share: float, readable: bool) -> None:
    found = Unreadable(share=share, cause="sequence is missing")

    result = state(None, {"kucoin": found}, binance=1.0, kucoin=1.0)

    assert result.ready == readable
    assert [(each.unreadable, each.readable) for each in result.exchanges] == [
        (None, True),
        (found, readable),
    ]
    assert all(each.fresh for each in result.exchanges)


def test_without_postgres_it_is_not_ready_however_fresh_the_prices_are() -> None:
    result = state(NOW, binance=1.0, kucoin=1.0)

    assert (result.ready, result.database_away_since) == (False, NOW)
    assert all(each.fresh for each in result.exchanges)


def test_before_the_first_reading_no_age_is_known() -> None:
    result = readiness(None, {}, NOW, LIMITS, NOW)

    assert [each.age_seconds for each in result.exchanges] == [None, None]
    assert not result.ready
