-- One row per ticker of an exchange: the newest that was seen. Every row is rewritten about once a
-- second, so pages keep room for the next version (fillfactor) and no index holds a changing column.
CREATE TABLE live_prices (
    exchange          text            NOT NULL,
    symbol            text            NOT NULL,
    price             numeric(38, 18) NOT NULL,
    bid               numeric(38, 18),
    bid_size          numeric(38, 18),
    ask               numeric(38, 18),
    ask_size          numeric(38, 18),
    last_size         numeric(38, 18),
    open_24h          numeric(38, 18),
    high_24h          numeric(38, 18),
    low_24h           numeric(38, 18),
    base_volume_24h   numeric(38, 18),
    quote_volume_24h  numeric(38, 18),
    traded_at         timestamptz,
    event_time        timestamptz     NOT NULL,
    sequence          bigint          NOT NULL,
    received_at       timestamptz     NOT NULL,
    endpoint          text,
    topic             text            NOT NULL,
    partition         integer         NOT NULL,
    "offset"          bigint          NOT NULL,
    position          integer         NOT NULL,
    batch_id          bigint          NOT NULL,
    PRIMARY KEY (exchange, symbol)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);

COMMENT ON COLUMN live_prices.endpoint IS 'the host that the exchange''s frame came from; NULL when the message did not say';
COMMENT ON COLUMN live_prices.position IS 'index of the item in the JSON array at (topic, partition, offset)';
COMMENT ON COLUMN live_prices.batch_id IS 'the batch that wrote this version: what changed since an id is batch_id > id';

-- How far the live job is, moved on in the transaction that writes the rows. The truth; Spark's checkpoint is not.
CREATE TABLE kafka_progress (
    topic        text    NOT NULL,
    partition    integer NOT NULL,
    next_offset  bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
);

-- One row per transaction of the live job. Ids commit in their order: one live job writes at a time.
CREATE TABLE batches (
    id            bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    rows_written  integer     NOT NULL,
    rows_refused  integer     NOT NULL,
    dead_letters  integer     NOT NULL,
    offsets       jsonb       NOT NULL,
    started_at    timestamptz NOT NULL,
    committed_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN batches.rows_refused IS 'tickers that the table already had a newer version of';
COMMENT ON COLUMN batches.offsets IS 'topic -> partition -> next offset after this batch';

-- What could not be read. position is -1 where the whole message could not.
CREATE TABLE dead_letters (
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    "offset"     bigint      NOT NULL,
    position     integer     NOT NULL,
    reason       text        NOT NULL,
    payload      bytea       NOT NULL,
    received_at  timestamptz,
    PRIMARY KEY (topic, partition, "offset", position)
);

COMMENT ON COLUMN dead_letters.payload IS 'UTF-8 JSON of the item, or the message as it was: bytes, because text refuses some of them';
