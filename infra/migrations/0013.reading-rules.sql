-- Which rules the rows of an exchange were computed with. Nobody recorded them before this migration.
CREATE TABLE reading_rules (
    exchange       text         PRIMARY KEY,
    rules          integer      NOT NULL,
    earlier_until  timestamptz
);

INSERT INTO reading_rules (exchange, rules)
SELECT exchange, 1 FROM live_prices
UNION
SELECT replace(topic, '_raw_data', ''), 1 FROM kafka_progress WHERE topic LIKE '%\_raw\_data';

COMMENT ON TABLE reading_rules IS 'Which rules of reading the rows of an exchange were computed with.';
COMMENT ON COLUMN reading_rules.exchange IS 'Name of the exchange, such as binance or kucoin.';
COMMENT ON COLUMN reading_rules.rules IS 'Number of the rules, as in core/reading_rules.py; lower than that of the program until make rebuild.';
COMMENT ON COLUMN reading_rules.earlier_until IS 'Candles up to this minute are of earlier rules, as are prices and dead letters of messages before it: a rebuild found them neither in Kafka nor in raw/. NULL if there are none.';
