"""Test the comparison of our candles with the exchange's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.compare_candles import Comparison, compare, joined, lines, their_minutes

MINUTE = datetime(2025, 3, 28, 7, 37, tzinfo=UTC)
NEXT = MINUTE + timedelta(minutes=1)


def prices(close: str, high: str = "90", low: str = "80") -> dict[str, Decimal]:
    return {"close": Decimal(close), "high": Decimal(high), "low": Decimal(low)}


def test_a_difference_of_one_step_agrees_and_more_is_a_difference() -> None:
    ours = {MINUTE: prices("85.43"), NEXT: prices("85.5", high="91")}
    theirs = {MINUTE: prices("85.44"), NEXT: prices("85.53")}
    found = compare("BTCUSDT", ours, theirs)
    assert (found.minutes, found.agreeing) == (2, {"close": 1, "high": 1, "low": 2})
    assert [(each.steps, each.name, each.minute) for each in found.differences] == [
        (Decimal(100), "high", NEXT),
        (Decimal(3), "close", NEXT),
    ]


def test_prices_of_a_difference_have_all_their_digits() -> None:
    ours, theirs = "12345678901.123456789012345678", "12345678901.123456789012345671"
    found = compare("A", {MINUTE: prices(ours)}, {MINUTE: prices(theirs)})
    assert [*lines("binance", found)][2] == (
        f"  A 07:37 close: ours {ours}, theirs {theirs}, 7 steps"
    )


def test_minutes_that_only_one_has_are_counted_and_not_compared() -> None:
    found = compare("BTCUSDT", {MINUTE: prices("85")}, {NEXT: prices("85")})
    assert (found.minutes, found.only_ours, found.only_theirs) == (0, 1, 1)
    assert [*lines("binance", found)] == [
        "binance: 0 minutes that both have, close -, high -, low -",
        "  only ours 1, only the exchange's 1",
    ]


def test_pairs_are_added_and_the_largest_difference_comes_first() -> None:
    one = compare("A", {MINUTE: prices("85")}, {MINUTE: prices("88")})
    other = compare("B", {MINUTE: prices("85")}, {MINUTE: prices("99")})
    whole = joined([one, other, Comparison(0, dict.fromkeys(one.agreeing, 0), 0, 0, [])])
    assert (whole.minutes, whole.agreeing["close"], whole.agreeing["high"]) == (2, 0, 2)
    assert [*lines("binance", whole)] == [
        "binance: 2 minutes that both have, close 0.0 %, high 100.0 %, low 100.0 %",
        "  only ours 0, only the exchange's 0",
        "  B 07:37 close: ours 85, theirs 99, 14 steps",
        "  A 07:37 close: ours 85, theirs 88, 3 steps",
    ]


def test_the_exchanges_minutes_are_read_as_the_jobs_read_them() -> None:
    assert BINANCE.candles and KUCOIN.candles
    at = round(MINUTE.timestamp())
    klines = (
        f'[[{at * 1000},"1.10","3","0.5","2.0","7"],'
        f'[{at * 1000 + 60_000},"2","2","2","2","0"],[{at * 1000 + 120_000},"2","2","2","2","1"]]'
    )
    expected = {MINUTE: prices("2", high="3", low="0.5")}
    assert their_minutes(klines, BINANCE.candles, MINUTE, NEXT + timedelta(minutes=1)) == expected
    answer = f'{{"code":"200000","data":[["{at}","1.1","2","3","0.5","7","9"]]}}'
    assert their_minutes(answer, KUCOIN.candles, MINUTE, NEXT) == expected
