-- A comment on every table, column and function, for people and BI tools that list them. They replace the earlier comments, so
-- that all read alike.
COMMENT ON TABLE live_prices IS 'The newest price of each symbol of an exchange, with the Kafka message that it came in.';
COMMENT ON COLUMN live_prices.exchange IS 'Name of the exchange, such as binance or kucoin.';
COMMENT ON COLUMN live_prices.symbol IS 'The exchange''s own symbol, such as BTCUSDT or BTC-USDT.';
COMMENT ON COLUMN live_prices.price IS 'Price of the last trade, in the quote currency.';
COMMENT ON COLUMN live_prices.bid IS 'Highest bid, in the quote currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.bid_size IS 'Amount at the highest bid, in the base currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.ask IS 'Lowest ask, in the quote currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.ask_size IS 'Amount at the lowest ask, in the base currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.last_size IS 'Amount of the last trade, in the base currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.open_24h IS 'Price 24 hours before event_time, as the exchange sends it. NULL if it does not.';
COMMENT ON COLUMN live_prices.high_24h IS 'Highest price of the 24 hours before event_time, as the exchange sends it. NULL if it does not.';
COMMENT ON COLUMN live_prices.low_24h IS 'Lowest price of the 24 hours before event_time, as the exchange sends it. NULL if it does not.';
COMMENT ON COLUMN live_prices.base_volume_24h IS 'Volume of the 24 hours before event_time, in the base currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.quote_volume_24h IS 'Volume of the 24 hours before event_time, in the quote currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.traded_at IS 'Time of the last trade, by the exchange''s clock. NULL if the exchange does not send it.';
COMMENT ON COLUMN live_prices.event_time IS 'Time of the ticker by the exchange''s clock, or received_at if the exchange does not send it.';
COMMENT ON COLUMN live_prices.sequence IS 'The exchange''s number of the ticker, or event_time in milliseconds: the higher one is newer.';
COMMENT ON COLUMN live_prices.received_at IS 'When the extractor received the ticker, by its own clock.';
COMMENT ON COLUMN live_prices.endpoint IS 'Host that sent the ticker. NULL if the message does not say.';
COMMENT ON COLUMN live_prices.topic IS 'Kafka topic of the message.';
COMMENT ON COLUMN live_prices.partition IS 'Kafka partition of the message.';
COMMENT ON COLUMN live_prices."offset" IS 'Kafka offset of the message.';
COMMENT ON COLUMN live_prices.position IS 'Position of the ticker in the message, a JSON array; the first is 0.';
COMMENT ON COLUMN live_prices.batch_id IS 'Batch that wrote this row. Rows that changed after a batch have a higher batch_id than its id.';

COMMENT ON TABLE kafka_progress IS 'The next offset that the jobs read of each partition. It commits together with the rows, and the jobs resume from it.';
COMMENT ON COLUMN kafka_progress.topic IS 'Kafka topic.';
COMMENT ON COLUMN kafka_progress.partition IS 'Kafka partition.';
COMMENT ON COLUMN kafka_progress.next_offset IS 'Offset of the next message to read; the messages before it are in the tables.';
COMMENT ON COLUMN kafka_progress.topic_id IS 'Kafka''s id of the topic that next_offset belongs to. NULL until the first batch after an upgrade.';

COMMENT ON TABLE batches IS 'One row per transaction of the job that writes live_prices. Ids commit in their order.';
COMMENT ON COLUMN batches.id IS 'Number of the batch.';
COMMENT ON COLUMN batches.rows_written IS 'Number of rows written to live_prices.';
COMMENT ON COLUMN batches.rows_refused IS 'Number of symbols whose row in live_prices was already newer.';
COMMENT ON COLUMN batches.dead_letters IS 'Number of items that could not be read.';
COMMENT ON COLUMN batches.offsets IS 'Next offset after this batch, by topic and partition. Partitions without messages in the batch are absent.';
COMMENT ON COLUMN batches.started_at IS 'When the transaction began.';
COMMENT ON COLUMN batches.committed_at IS 'When the row was written, milliseconds before the commit.';
COMMENT ON COLUMN batches.without_candle IS 'Number of tickers that count in no candle, because their event_time is too old or ahead of the clock.';
COMMENT ON COLUMN batches.reading IS 'Result of reading, by exchange: number of tickers, dead_letters by cause, and unread fields by cause with an example. A ticker without a price is under unread, as "price is absent".';

COMMENT ON TABLE dead_letters IS 'Examples of items that could not be read, with their bytes. dead_letter_spans counts all of them.';
COMMENT ON COLUMN dead_letters.topic IS 'Kafka topic of the message.';
COMMENT ON COLUMN dead_letters.partition IS 'Kafka partition of the message.';
COMMENT ON COLUMN dead_letters."offset" IS 'Kafka offset of the message.';
COMMENT ON COLUMN dead_letters.position IS 'Position of the item in the message; -1 if the whole message could not be read.';
COMMENT ON COLUMN dead_letters.reason IS 'Why the item could not be read: the cause, and after a colon the value.';
COMMENT ON COLUMN dead_letters.payload IS 'UTF-8 JSON of the item, or the whole message. Bytes, because text does not accept all of them.';
COMMENT ON COLUMN dead_letters.received_at IS 'When the extractor received the item. NULL if the item does not say.';
COMMENT ON COLUMN dead_letters.written_at IS 'When the row was written, by Postgres''s clock. Old rows are deleted by it.';
COMMENT ON COLUMN dead_letters.endpoint IS 'Host that sent the item. NULL if the message does not say.';

COMMENT ON TABLE dead_letter_spans IS 'Counts of all items that could not be read. A row covers consecutive messages of a partition that have items of one cause at the same positions.';
COMMENT ON COLUMN dead_letter_spans.topic IS 'Kafka topic of the messages.';
COMMENT ON COLUMN dead_letter_spans.partition IS 'Kafka partition of the messages.';
COMMENT ON COLUMN dead_letter_spans.cause IS 'The reason without the value after its colon.';
COMMENT ON COLUMN dead_letter_spans.first_offset IS 'Kafka offset of the first message.';
COMMENT ON COLUMN dead_letter_spans.last_offset IS 'Kafka offset of the last message, in the same block of 1,000 offsets.';
COMMENT ON COLUMN dead_letter_spans.letters IS 'Number of items of this cause in all of the messages.';
COMMENT ON COLUMN dead_letter_spans.positions IS 'Positions of these items in each message: get_bit(positions, position) is 1. NULL: all items. Empty: the message as a whole.';
COMMENT ON COLUMN dead_letter_spans.first_written_at IS 'When the row was written first, by Postgres''s clock.';
COMMENT ON COLUMN dead_letter_spans.written_at IS 'When the row last grew, by Postgres''s clock. Old rows are deleted by it.';

COMMENT ON TABLE instruments IS 'What each exchange''s symbol list says of each symbol.';
COMMENT ON COLUMN instruments.exchange IS 'Name of the exchange.';
COMMENT ON COLUMN instruments.symbol IS 'The exchange''s own symbol, as in live_prices.';
COMMENT ON COLUMN instruments.base IS 'Currency that is bought and sold, as the list says.';
COMMENT ON COLUMN instruments.quote IS 'Currency of the price, as the list says.';
COMMENT ON COLUMN instruments.status IS 'TRADING, the exchange''s own word for another state, or DELISTED if the symbol is no longer on the list.';
COMMENT ON COLUMN instruments.seen_at IS 'When base, quote and status were first seen with these values.';

COMMENT ON TABLE feed_events IS 'Connections, interruptions and rotations of each feed. Prices may be missing during an interruption.';
COMMENT ON COLUMN feed_events.exchange IS 'Name of the exchange.';
COMMENT ON COLUMN feed_events.endpoint IS 'Host of the connection. NULL if there was none yet.';
COMMENT ON COLUMN feed_events.kind IS 'connection, interruption or rotation.';
COMMENT ON COLUMN feed_events.reason IS 'Why the connection ended, the interruption began or the rotation took place. NULL if unknown.';
COMMENT ON COLUMN feed_events."from" IS 'Start of the event.';
COMMENT ON COLUMN feed_events."to" IS 'End of the event. NULL while it lasts, and for a connection whose extractor was killed.';
COMMENT ON COLUMN feed_events.frames IS 'Number of frames received on the connection, or on both connections of a rotation.';

COMMENT ON TABLE candles_1m IS 'Candles of a minute, built from ticker updates. A minute without updates has no row.';
COMMENT ON COLUMN candles_1m.exchange IS 'Name of the exchange.';
COMMENT ON COLUMN candles_1m.symbol IS 'The exchange''s own symbol, as in live_prices.';
COMMENT ON COLUMN candles_1m.minute IS 'Start of the minute of event_time.';
COMMENT ON COLUMN candles_1m.open IS 'Price of the lowest sequence; of equal ones the lower price.';
COMMENT ON COLUMN candles_1m.high IS 'Highest price.';
COMMENT ON COLUMN candles_1m.low IS 'Lowest price.';
COMMENT ON COLUMN candles_1m.close IS 'Price of the highest sequence; of equal ones the higher price.';
COMMENT ON COLUMN candles_1m.open_sequence IS 'Lowest sequence of the minute.';
COMMENT ON COLUMN candles_1m.close_sequence IS 'Highest sequence of the minute.';
COMMENT ON COLUMN candles_1m.updates IS 'Number of tickers in the candle, including the exchange''s repeats.';

COMMENT ON TABLE exchange_candles IS 'The exchanges'' own candles, built from trades, of the times in which tickers may be missing.';
COMMENT ON COLUMN exchange_candles.exchange IS 'Name of the exchange.';
COMMENT ON COLUMN exchange_candles.symbol IS 'The exchange''s own symbol, as in live_prices.';
COMMENT ON COLUMN exchange_candles."interval" IS 'Width of the candle: 1m, 1h or 1d.';
COMMENT ON COLUMN exchange_candles.start IS 'Start of the candle.';
COMMENT ON COLUMN exchange_candles.open IS 'First price.';
COMMENT ON COLUMN exchange_candles.high IS 'Highest price.';
COMMENT ON COLUMN exchange_candles.low IS 'Lowest price.';
COMMENT ON COLUMN exchange_candles.close IS 'Last price.';
COMMENT ON COLUMN exchange_candles.base_volume IS 'Volume in the base currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN exchange_candles.quote_volume IS 'Volume in the quote currency. NULL if the exchange does not send it.';
COMMENT ON COLUMN exchange_candles.trades IS 'Number of trades. NULL if the exchange does not send it.';
COMMENT ON COLUMN exchange_candles.received_at IS 'When the extractor received the candle, at the latest when Kafka did. Before its end, the candle was still running.';

COMMENT ON TABLE exchange_candle_spans IS 'Spans for which an exchange was asked for its candles, whether or not it has any.';
COMMENT ON COLUMN exchange_candle_spans.exchange IS 'Name of the exchange.';
COMMENT ON COLUMN exchange_candle_spans.symbol IS 'The exchange''s own symbol, as in live_prices.';
COMMENT ON COLUMN exchange_candle_spans."interval" IS 'Width of the candles: 1m, 1h or 1d.';
COMMENT ON COLUMN exchange_candle_spans.start IS 'Start of the span.';
COMMENT ON COLUMN exchange_candle_spans.until IS 'End of the span.';
COMMENT ON COLUMN exchange_candle_spans.received_at IS 'When the extractor received the response, at the latest when Kafka did.';
COMMENT ON COLUMN exchange_candle_spans.reason IS 'Why the exchange refused the request. NULL if it did not.';

COMMENT ON FUNCTION candles(text, text, interval, timestamptz, timestamptz) IS 'Candles of a symbol in [since, until), computed from candles_1m. The width divides a day or is a week; candles are aligned to UTC, weeks to Monday.';
COMMENT ON FUNCTION merged_candles(text, text, interval, timestamptz, timestamptz, tstzmultirange, boolean) IS 'Candles of a symbol in [since, until): those of candles_1m, and in the spans of holes those of exchange_candles. Without with_own, only those of exchange_candles.';
