-- All dead letters, counted. Only some of them are rows of dead_letters, as examples with their bytes. A row here stands
-- for messages that follow each other in a partition, each with dead letters of one cause at the same positions. It lies
-- within a block of 1,000 offsets: if the first record that Kafka still has cuts a block, only that block can't be
-- compared.
CREATE TABLE dead_letter_spans (
    topic             text        NOT NULL,
    partition         integer     NOT NULL,
    cause             text        NOT NULL,
    first_offset      bigint      NOT NULL,
    last_offset       bigint      NOT NULL,
    letters           bigint      NOT NULL,
    positions         bytea,
    first_written_at  timestamptz NOT NULL DEFAULT now(),
    written_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, first_offset, cause),
    CONSTRAINT lies_in_a_block CHECK (first_offset <= last_offset AND first_offset / 1000 = last_offset / 1000),
    CONSTRAINT letters_are_those_at_the_positions CHECK (
        CASE
            WHEN positions IS NULL THEN letters > last_offset - first_offset
            WHEN positions = '' THEN letters = last_offset - first_offset + 1
            ELSE letters = bit_count(positions) * (last_offset - first_offset + 1)
        END
    )
);

CREATE INDEX dead_letter_spans_written_at ON dead_letter_spans (written_at);

COMMENT ON COLUMN dead_letter_spans.cause IS 'the reason without the value that it may name behind a colon';
COMMENT ON COLUMN dead_letter_spans.letters IS 'how many dead letters of this cause the messages have together';
COMMENT ON COLUMN dead_letter_spans.positions IS 'where each of the messages has them: get_bit(positions, position) is 1; NULL: every item; empty: the message as a whole';
COMMENT ON COLUMN dead_letter_spans.written_at IS 'when it last grew, by Postgres'' clock: what is old is deleted by it';

-- What earlier versions have written: each of their dead letters is a row.
INSERT INTO dead_letter_spans (
    topic, partition, cause, first_offset, last_offset, letters, positions, first_written_at, written_at
)
WITH dead AS (
    SELECT topic, partition, "offset", split_part(reason, ':', 1) AS cause, position, written_at
    FROM dead_letters
), spans AS (
    SELECT topic, partition, "offset", cause,
        count(*) AS letters, min(position) AS first_position, max(position) AS last_position,
        min(written_at) AS first_written_at, max(written_at) AS written_at
    FROM dead
    GROUP BY topic, partition, "offset", cause
), bytes AS (
    SELECT topic, partition, "offset", cause, position / 8 AS number, sum(1 << mod(position, 8)) AS byte
    FROM dead
    WHERE position >= 0
    GROUP BY topic, partition, "offset", cause, position / 8
), positions AS (
    SELECT topic, partition, "offset", cause,
        string_agg(set_byte('\x00'::bytea, 0, coalesce(byte, 0)::integer), ''::bytea ORDER BY number) AS positions
    FROM spans
    CROSS JOIN LATERAL generate_series(0, last_position / 8) AS number
    LEFT JOIN bytes USING (topic, partition, "offset", cause, number)
    WHERE first_position >= 0
    GROUP BY topic, partition, "offset", cause
)
SELECT topic, partition, cause, "offset", "offset",
    CASE WHEN positions IS NULL THEN 1 ELSE letters END, coalesce(positions, ''::bytea),
    first_written_at, written_at
FROM spans
LEFT JOIN positions USING (topic, partition, "offset", cause);
