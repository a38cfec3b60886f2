-- The exchanges' own candles, made of trades. They fill what candles_1m lacks, and never change it. The live job makes
-- partitions of the three below: a day of minutes, a month of hours, a year of days.
CREATE TABLE exchange_candles (
    exchange      text            NOT NULL,
    symbol        text            NOT NULL,
    "interval"    text            NOT NULL,
    start         timestamptz     NOT NULL,
    open          numeric(38, 18) NOT NULL,
    high          numeric(38, 18) NOT NULL,
    low           numeric(38, 18) NOT NULL,
    close         numeric(38, 18) NOT NULL,
    base_volume   numeric(38, 18),
    quote_volume  numeric(38, 18),
    trades        bigint,
    received_at   timestamptz     NOT NULL,
    PRIMARY KEY (exchange, symbol, "interval", start)
) PARTITION BY LIST ("interval");

CREATE TABLE exchange_candles_1m PARTITION OF exchange_candles FOR VALUES IN ('1m') PARTITION BY RANGE (start);
CREATE TABLE exchange_candles_1h PARTITION OF exchange_candles FOR VALUES IN ('1h') PARTITION BY RANGE (start);
CREATE TABLE exchange_candles_1d PARTITION OF exchange_candles FOR VALUES IN ('1d') PARTITION BY RANGE (start);

COMMENT ON TABLE exchange_candles IS 'the exchanges'' own candles, made of trades';
COMMENT ON COLUMN exchange_candles."interval" IS '1m, 1h or 1d';
COMMENT ON COLUMN exchange_candles.trades IS 'NULL if the exchange does not say';
COMMENT ON COLUMN exchange_candles.received_at IS 'a candle that was received before its end was still running';

-- What was requested, whether or not it has candles: shows which interruptions are filled.
CREATE TABLE exchange_candle_spans (
    exchange     text         NOT NULL,
    symbol       text         NOT NULL,
    "interval"   text         NOT NULL,
    start        timestamptz  NOT NULL,
    until        timestamptz  NOT NULL,
    received_at  timestamptz  NOT NULL,
    reason       text,
    PRIMARY KEY (exchange, symbol, "interval", start, until)
);

COMMENT ON COLUMN exchange_candle_spans.reason IS 'why the exchange refused the request; NULL if it did not';

-- Candles of a symbol: ours where the feed was complete, otherwise the exchange's. `holes` are the spans in which tickers
-- may be missing. A finished day or hour of the exchange replaces everything in it, so nothing counts twice. Without
-- `with_own` only the exchange's. Volumes are NULL if a part of the candle has none: ours have none.
CREATE FUNCTION merged_candles(
    exchange text, symbol text, width interval, since timestamptz, until timestamptz, holes tstzmultirange, with_own boolean
)
RETURNS TABLE (
    start timestamptz, open numeric, high numeric, low numeric, close numeric, updates bigint, own bigint, theirs bigint,
    base_volume numeric, quote_volume numeric, trades bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH finished AS (
        SELECT c.*
        FROM exchange_candles AS c
        JOIN (VALUES ('1m', interval '1 minute'), ('1h', interval '1 hour'), ('1d', interval '1 day')) AS kind (name, width)
            ON kind.name = c."interval"
        WHERE c.exchange = merged_candles.exchange AND c.symbol = merged_candles.symbol
            AND c.start >= merged_candles.since AND c.start < merged_candles.until
            AND c.received_at >= c.start + kind.width
            AND merged_candles.holes && tstzrange(c.start, c.start + kind.width)
            AND extract(epoch FROM merged_candles.width)::bigint % extract(epoch FROM kind.width)::bigint = 0
    ),
    days AS (SELECT * FROM finished WHERE "interval" = '1d'),
    hours AS (
        SELECT * FROM finished
        WHERE "interval" = '1h' AND date_trunc('day', finished.start, 'UTC') NOT IN (SELECT days.start FROM days)
    ),
    own AS (
        SELECT m.minute, m.open, m.high, m.low, m.close, m.updates,
            merged_candles.holes && tstzrange(m.minute, m.minute + interval '1 minute') AS in_hole
        FROM candles_1m AS m
        WHERE merged_candles.with_own AND m.exchange = merged_candles.exchange AND m.symbol = merged_candles.symbol
            AND m.minute >= merged_candles.since AND m.minute < merged_candles.until
    ),
    parts AS (
        SELECT minute AS start, open, high, low, close, updates::bigint, true AS is_own,
            NULL::numeric AS base_volume, NULL::numeric AS quote_volume, NULL::bigint AS trades, true AS is_minute
        FROM own
        WHERE NOT in_hole OR NOT EXISTS (
            SELECT FROM finished WHERE finished."interval" = '1m' AND finished.start = own.minute
        )
        UNION ALL
        SELECT f.start, f.open, f.high, f.low, f.close, 0, false, f.base_volume, f.quote_volume, f.trades, true
        FROM finished AS f
        WHERE f."interval" = '1m' AND NOT EXISTS (SELECT FROM own WHERE own.minute = f.start AND NOT own.in_hole)
        UNION ALL
        SELECT f.start, f.open, f.high, f.low, f.close, 0, false, f.base_volume, f.quote_volume, f.trades, false
        FROM (SELECT * FROM days UNION ALL SELECT * FROM hours) AS f
    )
    SELECT
        date_bin(merged_candles.width, parts.start, timestamptz '2000-01-03 00:00+00'),
        (array_agg(parts.open ORDER BY parts.start))[1],
        max(parts.high),
        min(parts.low),
        (array_agg(parts.close ORDER BY parts.start))[count(*)::int],
        sum(parts.updates)::bigint,
        count(*) FILTER (WHERE parts.is_own),
        count(*) FILTER (WHERE NOT parts.is_own),
        CASE WHEN bool_and(parts.base_volume IS NOT NULL) THEN sum(parts.base_volume) END,
        CASE WHEN bool_and(parts.quote_volume IS NOT NULL) THEN sum(parts.quote_volume) END,
        CASE WHEN bool_and(parts.trades IS NOT NULL) THEN sum(parts.trades)::bigint END
    FROM parts
    WHERE NOT parts.is_minute OR (
        date_trunc('hour', parts.start, 'UTC') NOT IN (SELECT hours.start FROM hours)
        AND date_trunc('day', parts.start, 'UTC') NOT IN (SELECT days.start FROM days)
    )
    GROUP BY 1
    ORDER BY 1
$$;
