-- As before, but minutes are read only where no day or hour of the exchange replaces them: the last day of all symbols is
-- read at once, and after a backfill most of its minutes are replaced.
CREATE OR REPLACE FUNCTION merged_candles(
    exchange text, symbol text, width interval, since timestamptz, until timestamptz, holes tstzmultirange, with_own boolean
)
RETURNS TABLE (
    start timestamptz, open numeric, high numeric, low numeric, close numeric, updates bigint, own bigint, theirs bigint,
    base_volume numeric, quote_volume numeric, trades bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH larger AS (
        SELECT c.*, tstzrange(c.start, c.start + kind.width) AS span
        FROM exchange_candles AS c
        JOIN (VALUES ('1h', interval '1 hour'), ('1d', interval '1 day')) AS kind (name, width)
            ON kind.name = c."interval"
        WHERE c.exchange = merged_candles.exchange AND c.symbol = merged_candles.symbol
            AND c."interval" IN ('1h', '1d')
            AND c.start >= merged_candles.since AND c.start < merged_candles.until
            AND c.received_at >= c.start + kind.width
            AND merged_candles.holes && tstzrange(c.start, c.start + kind.width)
            AND extract(epoch FROM merged_candles.width)::bigint % extract(epoch FROM kind.width)::bigint = 0
    ),
    replacing AS (
        SELECT * FROM larger
        WHERE "interval" = '1d'
            OR date_trunc('day', larger.start, 'UTC') NOT IN (SELECT day.start FROM larger AS day WHERE day."interval" = '1d')
    ),
    gaps AS (
        SELECT lower(gap) AS since, upper(gap) AS until
        FROM unnest(
            tstzmultirange(tstzrange(merged_candles.since, merged_candles.until))
            - coalesce((SELECT range_agg(replacing.span) FROM replacing), '{}')
        ) AS gap
    ),
    -- OFFSET 0 makes the planner read the minutes of each gap, and never those of the whole span.
    theirs AS (
        SELECT minutes.*
        FROM gaps CROSS JOIN LATERAL (
            SELECT * FROM exchange_candles AS c
            WHERE c.exchange = merged_candles.exchange AND c.symbol = merged_candles.symbol AND c."interval" = '1m'
                AND c.start >= gaps.since AND c.start < gaps.until
                AND c.start >= merged_candles.since AND c.start < merged_candles.until
                AND c.received_at >= c.start + interval '1 minute'
                AND merged_candles.holes && tstzrange(c.start, c.start + interval '1 minute')
            OFFSET 0
        ) AS minutes
    ),
    own AS (
        SELECT minutes.*, merged_candles.holes && tstzrange(minutes.minute, minutes.minute + interval '1 minute') AS in_hole
        FROM gaps CROSS JOIN LATERAL (
            SELECT m.minute, m.open, m.high, m.low, m.close, m.updates FROM candles_1m AS m
            WHERE merged_candles.with_own AND m.exchange = merged_candles.exchange AND m.symbol = merged_candles.symbol
                AND m.minute >= gaps.since AND m.minute < gaps.until
                AND m.minute >= merged_candles.since AND m.minute < merged_candles.until
            OFFSET 0
        ) AS minutes
    ),
    parts AS (
        SELECT minute AS start, open, high, low, close, updates::bigint, true AS is_own,
            NULL::numeric AS base_volume, NULL::numeric AS quote_volume, NULL::bigint AS trades
        FROM own
        WHERE NOT in_hole OR NOT EXISTS (SELECT FROM theirs WHERE theirs.start = own.minute)
        UNION ALL
        SELECT t.start, t.open, t.high, t.low, t.close, 0, false, t.base_volume, t.quote_volume, t.trades
        FROM theirs AS t
        WHERE NOT EXISTS (SELECT FROM own WHERE own.minute = t.start AND NOT own.in_hole)
        UNION ALL
        SELECT r.start, r.open, r.high, r.low, r.close, 0, false, r.base_volume, r.quote_volume, r.trades
        FROM replacing AS r
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
    GROUP BY 1
    ORDER BY 1
$$;
