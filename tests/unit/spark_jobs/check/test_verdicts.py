"""The audit's verdicts as they are printed."""

from spark_jobs.check.verdicts import SHOWN, Verdict, report


def test_what_differs_is_shown_up_to_a_limit_and_what_can_not_be_compared_is_named() -> None:
    many = [f"binance S{number}" for number in range(SHOWN)]
    verdicts = [
        Verdict("live_prices", 30, 0, [], 0, []),
        Verdict("candles_1m", 90, SHOWN + 5, many, 2, ["kucoin A", "kucoin B"]),
        Verdict("raw/", 7, 1, ["binance 2026-11-25 10:03:00 …"], 0, [], "minutes"),
    ]
    assert [*report(verdicts)] == [
        "live_prices: 30 rows, 0 differ",
        f"candles_1m: 90 rows, {SHOWN + 5} differ",
        *(f"  {line}" for line in many),
        "  and 5 more",
        "  2 can't be compared: expiring soon, or not all of their records were read",
        "    kucoin A",
        "    kucoin B",
        "raw/: 7 minutes, 1 differ",
        "  binance 2026-11-25 10:03:00 …",
    ]
