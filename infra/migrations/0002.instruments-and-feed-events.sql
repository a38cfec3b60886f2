-- What an exchange's symbol list says of each of its tickers, as it was seen last.
CREATE TABLE instruments (
    exchange  text         NOT NULL,
    symbol    text         NOT NULL,
    base      text         NOT NULL,
    quote     text         NOT NULL,
    status    text         NOT NULL,
    seen_at   timestamptz  NOT NULL,
    PRIMARY KEY (exchange, symbol)
);

COMMENT ON COLUMN instruments.symbol IS 'as in live_prices; base and quote come from the list and not from its text';
COMMENT ON COLUMN instruments.status IS 'the exchange''s own word for it, or DELISTED for what is on its list no more';
COMMENT ON COLUMN instruments.seen_at IS 'when the rest of the row was first seen to be so';

-- The story of each feed: its connections, interruptions and rotations. Prices may be missing between the times
-- of an interruption.
CREATE TABLE feed_events (
    exchange  text         NOT NULL,
    endpoint  text,
    kind      text         NOT NULL,
    reason    text,
    "from"    timestamptz  NOT NULL,
    "to"      timestamptz,
    frames    bigint       NOT NULL,
    PRIMARY KEY (exchange, kind, "from")
);

COMMENT ON COLUMN feed_events.endpoint IS 'the host; NULL when there was none yet';
COMMENT ON COLUMN feed_events.kind IS 'connection, interruption or rotation';
COMMENT ON COLUMN feed_events.reason IS 'why the connection ended, the interruption began or the rotation took place; NULL when nothing says';
COMMENT ON COLUMN feed_events."to" IS 'NULL while it goes on';
COMMENT ON COLUMN feed_events.frames IS 'those that the connection brought, or that came on both connections of a rotation';

-- The newest events of an exchange.
CREATE INDEX feed_events_newest ON feed_events (exchange, "from" DESC);
