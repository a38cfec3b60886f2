-- What became of a batch's items, so that a reader sees an exchange whose messages can no longer be read.
ALTER TABLE batches ADD COLUMN reading jsonb NOT NULL DEFAULT '{}';

COMMENT ON COLUMN batches.reading IS 'by exchange: tickers, dead_letters by cause, and unread fields by cause with an example; a ticker without a price is under unread, "price is absent"';
