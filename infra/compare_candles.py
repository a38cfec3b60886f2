"""Compare our candles with the exchanges' own, for the last finished minutes of the most traded pairs.

    make compare-candles PAIRS=50 MINUTES=60

It is the only check of our candles against somebody else's figures. The exchanges' candles are requested
anew; nothing is stored. Only minutes in which the feed was complete are compared.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import connection

from core.settings import STACK, Settings
from exchanges import EXCHANGES
from exchanges.exchange import CandleSource, CandleSpan, Exchange, ExchangeError
from extractors.backfill.ranking import ranked
from extractors.receive.exchange_client import client_of
from spark_jobs.exchange_candles.reader import candle_of
from spark_jobs.tickers.values import EXACT

PRICES = ("close", "high", "low")
SHOWN = 10
"""Number of differences printed per exchange."""

SETTLED = timedelta(minutes=2)
"""Age of the newest compared minute: by then, its last updates are in Postgres."""

# A minute of an interruption, or of no connection, is not complete. An interruption whose end was not
# reported lasts at most until the next one begins. A killed extractor's connection may have ended any time
# before the next extractor started: that one's first interruption has the reason "start".
COMPLETE = """
WITH event AS (
    SELECT kind, "from", coalesce("to", CASE
        WHEN kind = 'interruption' THEN coalesce(following, 'infinity')
        WHEN has_restarted THEN "from"
        ELSE 'infinity'
    END) AS until
    FROM (
        SELECT kind, "from", "to", lead("from") OVER (PARTITION BY kind ORDER BY "from") AS following,
            bool_or(kind = 'interruption' AND split_part(reason, ';', 1) = 'start')
                OVER (ORDER BY "from" DESC, kind ROWS UNBOUNDED PRECEDING) AS has_restarted
        FROM feed_events
        WHERE exchange = %(exchange)s
    ) AS reported
)
SELECT minute
FROM generate_series(
    %(since)s::timestamptz, %(until)s::timestamptz - interval '1 minute', interval '1 minute'
) AS minute
WHERE EXISTS (
    SELECT FROM event
    WHERE kind = 'connection' AND "from" <= minute AND until >= minute + interval '1 minute'
) AND NOT EXISTS (
    SELECT FROM event
    WHERE kind = 'interruption' AND "from" < minute + interval '1 minute' AND until > minute
)
"""

OURS = """
SELECT minute, close, high, low FROM candles_1m
WHERE exchange = %(exchange)s AND symbol = %(symbol)s
    AND minute >= %(since)s AND minute < %(until)s
"""


class Difference(NamedTuple):
    """Comparison of one price of a minute. `steps` is the difference in steps of the pair's prices."""

    steps: Decimal
    symbol: str
    minute: datetime
    name: str
    ours: Decimal
    theirs: Decimal


class Comparison(NamedTuple):
    minutes: int
    """Minutes that both have."""
    agreeing: Mapping[str, int]
    """Number of minutes that agree within one step, by price."""
    only_ours: int
    only_theirs: int
    differences: Sequence[Difference]
    """Largest first."""


Prices = Mapping[str, Decimal]


def compare(
    symbol: str, ours: Mapping[datetime, Prices], theirs: Mapping[datetime, Prices]
) -> Comparison:
    """Compare the minutes of one pair, each with PRICES."""
    step = step_of(price for minute in theirs.values() for price in minute.values())
    both = sorted(ours.keys() & theirs.keys())
    compared = [
        Difference(
            steps=abs(ours[minute][name] - theirs[minute][name]) / step,
            symbol=symbol,
            minute=minute,
            name=name,
            ours=ours[minute][name],
            theirs=theirs[minute][name],
        )
        for minute in both
        for name in PRICES
    ]
    return Comparison(
        len(both),
        {n: sum(d.steps <= 1 for d in compared if d.name == n) for n in PRICES},
        len(ours.keys() - theirs.keys()),
        len(theirs.keys() - ours.keys()),
        sorted((d for d in compared if d.steps > 1), reverse=True),
    )


def joined(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the comparison of all pairs together."""
    return Comparison(
        sum(each.minutes for each in comparisons),
        {n: sum(each.agreeing[n] for each in comparisons) for n in PRICES},
        sum(each.only_ours for each in comparisons),
        sum(each.only_theirs for each in comparisons),
        sorted((d for each in comparisons for d in each.differences), reverse=True),
    )


def step_of(prices: Iterator[Decimal]) -> Decimal:
    """Return the smallest unit in which these prices are written: 0.01 for 85439.99 and 85440.1."""
    exponents = [price.normalize(EXACT).as_tuple().exponent for price in prices]
    return Decimal(1).scaleb(min([0, *(e for e in exponents if isinstance(e, int))]))


def their_minutes(
    response: str, source: CandleSource, since: datetime, until: datetime
) -> dict[datetime, Prices]:
    """Return the exchange's candles of a span, by minute, without minutes that had no trade."""
    candles = json.loads(response, parse_float=str, parse_int=str)
    for key in source.path:
        candles = candles[key]
    # candle_of checks a candle against the message that carries it; this response was received just now.
    message = {"interval": "1m", "received_at": round(time.time() * 1e6)}
    found: dict[datetime, Prices] = {}
    for written in candles:
        candle = candle_of(written, source, message)
        minute = datetime.fromtimestamp(candle["start"] / 1e6, UTC)
        if since <= minute < until and candle["base_volume"] != 0:
            found[minute] = {name: candle[name] for name in PRICES}
    return found


def complete_minutes(database: connection, values: Mapping[str, Any]) -> set[datetime]:
    """Return the minutes of a span in which the feed was complete."""
    with database.cursor() as statements:
        statements.execute(COMPLETE, values)
        return {minute for (minute,) in statements.fetchall()}


def our_minutes(database: connection, values: Mapping[str, Any]) -> dict[datetime, Prices]:
    with database.cursor() as statements:
        statements.execute(OURS, values)
        return {
            minute: dict(zip(PRICES, prices, strict=True))
            for minute, *prices in statements.fetchall()
        }


def compare_exchange(
    exchange: Exchange, settings: Settings, database: connection, pairs: int, minutes: int
) -> Comparison:
    """Compare the most traded pairs.

    Raise ExchangeError or OSError, and ValueError for a response that can't be read.
    """
    source = exchange.candles
    assert source
    client = client_of(exchange, settings)
    until = datetime.now(UTC).replace(second=0, microsecond=0) - SETTLED
    since = until - timedelta(minutes=min(minutes, source.limit))
    span = round(since.timestamp()), round(until.timestamp())
    common = {"exchange": exchange.name, "since": since, "until": until}
    complete = complete_minutes(database, common)
    symbols = ranked(client.symbol_list().instruments, client.turnovers(source))[:pairs]
    found = []
    for symbol in symbols:
        time.sleep(source.request_interval)
        response = client.candles(source, CandleSpan(symbol, "1m", *span))
        theirs = their_minutes(response, source, since, until)
        ours = our_minutes(database, {**common, "symbol": symbol})
        found.append(compare(symbol, within(complete, ours), within(complete, theirs)))
    return joined(found)


def within(minutes: Set[datetime], found: Mapping[datetime, Prices]) -> dict[datetime, Prices]:
    """Return the prices of these minutes only."""
    return {minute: prices for minute, prices in found.items() if minute in minutes}


def lines(exchange: str, found: Comparison) -> Iterator[str]:
    """Yield the report of one exchange."""
    yield f"{exchange}: {found.minutes} minutes that both have, " + ", ".join(
        f"{name} {share(found.agreeing[name], found.minutes)}" for name in PRICES
    )
    yield f"  only ours {found.only_ours}, only the exchange's {found.only_theirs}"
    for each in found.differences[:SHOWN]:
        yield (
            f"  {each.symbol} {each.minute:%H:%M} {each.name}: ours {each.ours.normalize(EXACT):f},"
            f" theirs {each.theirs.normalize(EXACT):f}, {each.steps:.0f} steps"
        )


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.compare_candles", description=__doc__)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=60)
    asked = parser.parse_args()
    settings = Settings.from_environment(STACK)
    database = psycopg2.connect(settings.database_url)
    print("share of minutes that agree within one step of the price")
    for exchange in EXCHANGES:
        if exchange.candles:
            try:
                found = compare_exchange(exchange, settings, database, asked.pairs, asked.minutes)
            except (ExchangeError, OSError, ValueError) as error:
                print(f"{exchange.name}: {error}")
                continue
            print(*lines(exchange.name, found), sep="\n")
    database.close()


if __name__ == "__main__":
    main()
