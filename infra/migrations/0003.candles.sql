-- One row per ticker and minute of event_time, made of ticker updates: no trade candles. The live job makes a
-- partition for each day, in UTC, when it is first needed, with its storage settings, and drops it when it is
-- too old. The key serves one ticker over a span; no index holds a changing column, so updates stay on the page.
CREATE TABLE candles_1m (
    exchange        text            NOT NULL,
    symbol          text            NOT NULL,
    minute          timestamptz     NOT NULL,
    open            numeric(38, 18) NOT NULL,
    high            numeric(38, 18) NOT NULL,
    low             numeric(38, 18) NOT NULL,
    close           numeric(38, 18) NOT NULL,
    open_sequence   bigint          NOT NULL,
    close_sequence  bigint          NOT NULL,
    updates         integer         NOT NULL,
    PRIMARY KEY (exchange, symbol, minute)
) PARTITION BY RANGE (minute);

COMMENT ON COLUMN candles_1m.open IS 'of the lowest sequence; of equal ones the lower price';
COMMENT ON COLUMN candles_1m.close IS 'of the highest sequence; of equal ones the higher price';
COMMENT ON COLUMN candles_1m.updates IS 'tickers that it was made of, repeats by the exchange included';

-- Larger candles from the minutes in [since, until): `width` long, counted in UTC from a midnight, so any width that
-- divides a day. Minutes without tickers have no row: a candle is made of what there is.
CREATE FUNCTION candles(exchange text, symbol text, width interval, since timestamptz, until timestamptz)
RETURNS TABLE (start timestamptz, open numeric, high numeric, low numeric, close numeric, updates bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT
        date_bin(candles.width, m.minute, timestamptz '2000-01-01 00:00+00') AS start,
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

ALTER TABLE batches ADD COLUMN without_candle integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN batches.without_candle IS 'tickers that count in no candle: their event_time is too old or ahead of the clock';

-- When a row came, by Postgres' clock: what is old is deleted by it. received_at is what a message claims.
ALTER TABLE dead_letters ADD COLUMN written_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX dead_letters_written_at ON dead_letters (written_at);
