-- Candles of a week start on Monday, as the exchanges' do. 2000-01-03 is a Monday; widths that divide a day
-- start as before.
CREATE OR REPLACE FUNCTION candles(
    exchange text, symbol text, width interval, since timestamptz, until timestamptz
)
RETURNS TABLE (start timestamptz, open numeric, high numeric, low numeric, close numeric, updates bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin(candles.width, m.minute, timestamptz '2000-01-03 00:00+00') AS start,
        (array_agg(m.open ORDER BY m.minute))[1],
        max(m.high),
        min(m.low),
        (array_agg(m.close ORDER BY m.minute))[count(*)::int],
        sum(m.updates)
    FROM candles_1m AS m
    WHERE m.exchange = candles.exchange AND m.symbol = candles.symbol
        AND m.minute >= candles.since AND m.minute < candles.until
    GROUP BY 1
    ORDER BY 1
$$;
