-- A dead letter that is read again becomes a price, which says where it came from.
ALTER TABLE dead_letters ADD COLUMN endpoint text;

COMMENT ON COLUMN dead_letters.endpoint IS 'as in live_prices';
