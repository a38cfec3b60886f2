-- One row per pair, for BI tools. A new exchange needs a migration that replaces this view.
CREATE VIEW pairs AS
WITH sides AS (
    -- An exchange may list a pair twice, such as after a change of names: the symbol that trades, then the one with the newest price.
    SELECT DISTINCT ON (base, quote, exchange) base, quote, exchange, symbol, price, open_24h, received_at
    FROM live_prices JOIN instruments USING (exchange, symbol)
    ORDER BY base, quote, exchange, status = 'TRADING' DESC, received_at DESC, symbol
),
figures AS (
    SELECT base, quote, exchange, symbol, trim_scale(sides.price) AS price,
        round(100 * (sides.price - before.price) / nullif(before.price, 0), 2) AS change_24h,
        round(extract(epoch FROM statement_timestamp() - received_at), 3) AS age
    FROM sides
    -- As in /api/last-day, but a candle of the exchange replaces ours even where the feed was complete.
    LEFT JOIN LATERAL (
        SELECT first_hour.open
        FROM date_trunc('hour', statement_timestamp(), 'UTC') AS until, merged_candles(
            sides.exchange, sides.symbol, '1 hour', until - interval '24 hours', until - interval '23 hours', '{(,)}', true
        ) AS first_hour
        WHERE sides.open_24h IS NULL
    ) AS day ON true,
    LATERAL (SELECT coalesce(sides.open_24h, day.open)) AS before (price)
)
SELECT
    base || '/' || quote AS pair,
    base,
    quote,
    max(symbol) FILTER (WHERE exchange = 'binance') AS binance_symbol,
    max(price) FILTER (WHERE exchange = 'binance') AS binance_price,
    max(change_24h) FILTER (WHERE exchange = 'binance') AS binance_change_24h,
    max(age) FILTER (WHERE exchange = 'binance') AS binance_age,
    max(symbol) FILTER (WHERE exchange = 'kucoin') AS kucoin_symbol,
    max(price) FILTER (WHERE exchange = 'kucoin') AS kucoin_price,
    max(change_24h) FILTER (WHERE exchange = 'kucoin') AS kucoin_change_24h,
    max(age) FILTER (WHERE exchange = 'kucoin') AS kucoin_age
FROM figures
GROUP BY base, quote;

COMMENT ON VIEW pairs IS 'The newest prices of each pair, side by side; an exchange without the pair has NULL. Symbols that are not in instruments are absent.';
COMMENT ON COLUMN pairs.pair IS 'Base and quote, such as BTC/USDT.';
COMMENT ON COLUMN pairs.base IS 'Currency that is bought and sold.';
COMMENT ON COLUMN pairs.quote IS 'Currency of the prices.';
COMMENT ON COLUMN pairs.binance_symbol IS 'Binance''s symbol. If it has two of the pair, the one that trades, then the one with the newest price.';
COMMENT ON COLUMN pairs.binance_price IS 'Price on Binance, in the quote currency.';
COMMENT ON COLUMN pairs.binance_change_24h IS 'Change from the price of 24 hours ago, in percent of it, as Binance''s ticker has it.';
COMMENT ON COLUMN pairs.binance_age IS 'Seconds since Binance''s price was received.';
COMMENT ON COLUMN pairs.kucoin_symbol IS 'KuCoin''s symbol. If it has two of the pair, the one that trades, then the one with the newest price.';
COMMENT ON COLUMN pairs.kucoin_price IS 'Price on KuCoin, in the quote currency.';
COMMENT ON COLUMN pairs.kucoin_change_24h IS 'Change from the open of the last 24 full hours, in percent of it, because KuCoin''s ticker has no price of 24 hours ago. NULL if that hour has no candle.';
COMMENT ON COLUMN pairs.kucoin_age IS 'Seconds since KuCoin''s price was received.';
