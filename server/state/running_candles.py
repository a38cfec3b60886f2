"""Read the newest candles of symbols that a stream follows, in the snapshot of the prices.

{"exchange":"binance","symbol":"BTCUSDT","interval":"1m","start":"2025-03-28T07:37:00.000000Z",
 "open":"85440","high":"85450.01","low":"85439.99","close":"85441.2","updates":42,"closed":false}
"""

from collections.abc import Collection
from contextlib import suppress

from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import cursor

from server.state.price_table import Key
from server.state.prices import AMOUNT, INSTANT, UNCHANGED

COLUMNS = {
    "exchange": UNCHANGED,
    "symbol": UNCHANGED,
    "open": AMOUNT,
    "high": AMOUNT,
    "low": AMOUNT,
    "close": AMOUNT,
    "updates": UNCHANGED,
    "closed": UNCHANGED,
}

# Each day is a partition with the key (exchange, symbol, minute): two rows are read from its end. The
# minute before is sent too, so that every client gets its final values.
NEWEST = f"""
SELECT exchange, symbol, string_agg(
    (SELECT row_to_json(shown)::text FROM (
        SELECT {", ".join(form.format(name) for name, form in COLUMNS.items())},
            '1m' AS interval, {INSTANT.format("minute").replace('AS "minute"', "AS start")}
    ) AS shown), ',' ORDER BY minute)
FROM (
    SELECT candle.*, candle.minute < max(candle.minute) OVER (
        PARTITION BY candle.exchange, candle.symbol
    ) AS closed
    FROM unnest(%(exchanges)s, %(symbols)s) AS wanted (exchange, symbol), LATERAL (
        SELECT * FROM candles_1m
        WHERE candles_1m.exchange = wanted.exchange AND candles_1m.symbol = wanted.symbol
        ORDER BY minute DESC LIMIT 2
    ) AS candle
) AS newest
GROUP BY exchange, symbol
"""


# The query is planned with a lock on every day, even on those that it does not read.
LIMIT_LOCKS = "SAVEPOINT candles; SET LOCAL lock_timeout = '200ms'"


def newest_candles(statements: cursor, wanted: Collection[Key]) -> dict[Key, str]:
    """Return the JSON of the newest two candles of each symbol: oldest first, with a comma between.

    Return none while a finished day is sorted, for which the live job locks it: prices must not wait. The
    next change of a symbol comes with its candles.
    """
    if not wanted:
        return {}
    exchanges, symbols = zip(*wanted, strict=True)
    statements.execute(LIMIT_LOCKS)
    found = []
    with suppress(LockNotAvailable):
        statements.execute(NEWEST, {"exchanges": list(exchanges), "symbols": list(symbols)})
        found = statements.fetchall()
    # The limit is for this query alone.
    statements.execute("ROLLBACK TO SAVEPOINT candles")
    return {(exchange, symbol): text for exchange, symbol, text in found}
