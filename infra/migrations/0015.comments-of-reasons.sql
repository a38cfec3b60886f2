-- Comments that said less than what the columns have.
COMMENT ON COLUMN exchange_candle_spans.reason IS 'Why there is no response: the exchange refused the request, the last attempt failed, or the response was too large for Kafka. NULL if there is one.';
COMMENT ON COLUMN pairs.kucoin_change_24h IS 'Change from the open of the last 24 full hours, in percent of it, because KuCoin''s ticker has no price of 24 hours ago. NULL if the first of these hours has no candle.';
