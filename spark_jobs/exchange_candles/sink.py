"""Write the exchanges' own candles, and the spans that were requested, to Postgres.

Neither the order of messages nor their repetition changes the result: of two versions of a candle the one
that was received later wins, so a running candle is replaced by its finished form. A message can't have been
received after Kafka had it: if its extractor's clock was ahead, it counts as received at Kafka's timestamp.
"""

import operator
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2.extensions import cursor
from pyspark.sql import DataFrame

from core.topics import EXCHANGE_CANDLES
from spark_jobs.exchange_candles.columns import (
    CANDLE_COLUMNS,
    CANDLE_READ,
    IS_CANDLE,
    IS_SPAN,
    OPTIONAL,
    PRICES,
    SPAN_COLUMNS,
)
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.postgres.dead_letters import DeadLetter, add_dead_letters
from spark_jobs.postgres.exchange_candle_partitions import kept_since, make_partitions
from spark_jobs.postgres.postgres_sink import PostgresSink
from spark_jobs.postgres.transaction import Tables, Transactions, copy_into
from spark_jobs.run.sink import Counts
from spark_jobs.tickers.arrow_streams import collected
from spark_jobs.tickers.columns import IS_DEAD_LETTER, as_frame
from spark_jobs.tickers.element_reader import WHOLE_MESSAGE
from spark_jobs.tickers.letters.spans import THE_MESSAGE, Span, to_bits
from spark_jobs.tickers.reading import cause_of

# Lists of columns for the statements below.
VALUES = ", ".join((*PRICES, *OPTIONAL, "received_at"))
CANDLES = ", ".join(f'"{name}"' for name in CANDLE_COLUMNS)
SPANS = ", ".join(f'"{name}"' for name in SPAN_COLUMNS)

UPSERT_CANDLES = f"""
INSERT INTO exchange_candles AS stored ({CANDLES})
SELECT DISTINCT ON (exchange, symbol, "interval", start) {CANDLES}
FROM incoming_exchange_candles
ORDER BY exchange, symbol, "interval", start, received_at DESC
ON CONFLICT (exchange, symbol, "interval", start) DO UPDATE
SET ({VALUES}) = (EXCLUDED.{VALUES.replace(", ", ", EXCLUDED.")})
WHERE EXCLUDED.received_at > stored.received_at
"""

UPSERT_SPANS = f"""
INSERT INTO exchange_candle_spans AS stored ({SPANS})
SELECT DISTINCT ON (exchange, symbol, "interval", start, until) {SPANS}
FROM incoming_exchange_candle_spans
ORDER BY exchange, symbol, "interval", start, until, received_at DESC
ON CONFLICT (exchange, symbol, "interval", start, until) DO UPDATE
SET (received_at, reason) = (EXCLUDED.received_at, EXCLUDED.reason)
WHERE EXCLUDED.received_at > stored.received_at
"""

TABLES = Tables(
    topics=(EXCHANGE_CANDLES,),
    lock=7_305_808_869_233,
    create_incoming=f"""
        CREATE TEMPORARY TABLE incoming_exchange_candles ON COMMIT DELETE ROWS AS
        SELECT {CANDLES} FROM exchange_candles WITH NO DATA;
        CREATE TEMPORARY TABLE incoming_exchange_candle_spans ON COMMIT DELETE ROWS AS
        SELECT {SPANS} FROM exchange_candle_spans WITH NO DATA
    """,
)


class ExchangeCandlesSink(PostgresSink):
    """Sink for batches that messages.candles returns."""

    query = "exchange_candles"
    topics = TABLES.topics

    def __init__(self, database_url: str, minutes_kept: timedelta) -> None:
        """Connect. `minutes_kept` is the retention of one-minute candles.

        Raise the same errors as Transactions.
        """
        super().__init__(Transactions(database_url, "ExchangeCandlesSink", TABLES))
        self._minutes_kept = minutes_kept

    def _write_batch(self, batch: DataFrame) -> Counts:
        def write(statements: cursor, rows: pa.Table, reached: Offsets) -> Counts:
            return write_rows(statements, rows, self._minutes_kept)

        return self.postgres.write(collected(batch, CANDLE_READ), write, self._stopping)


def write_rows(statements: cursor, rows: pa.Table, minutes_kept: timedelta) -> Counts:
    """Upsert candles and spans. What can't be read becomes a dead letter. Skip candles that are too old."""
    statements.execute("SELECT now()")
    ((now,),) = statements.fetchall()
    candles = rows.filter(_is(IS_CANDLE))
    kept = candles.filter(_is_kept(kept_since(now, minutes_kept)))
    make_partitions(statements, kept)
    copy_into(statements, "incoming_exchange_candles", _received(kept, CANDLE_COLUMNS))
    statements.execute(UPSERT_CANDLES)
    spans = rows.filter(_is(IS_SPAN))
    copy_into(statements, "incoming_exchange_candle_spans", _received(spans, SPAN_COLUMNS))
    statements.execute(UPSERT_SPANS)
    dead = rows.filter(_is(IS_DEAD_LETTER)).to_pylist()
    add_dead_letters(statements, [_letter(row) for row in dead], _dead_letter_spans(dead))
    return {
        "rows": kept.num_rows + len(dead),
        "old": candles.num_rows - kept.num_rows,
        "requests": spans.num_rows,
        "dead": len(dead),
    }


def _received(rows: pa.Table, columns: Sequence[str]) -> pl.DataFrame:
    """Return the columns of the rows, with Kafka's timestamp as `received_at` if that is earlier."""
    received_at = pl.min_horizontal("received_at", "timestamp").alias("received_at")
    return as_frame(rows).with_columns(received_at).select(columns)


def _is(kind: str) -> pc.Expression:
    return pc.field("kind") == kind


def _is_kept(since: Mapping[str, datetime]) -> pc.Expression:
    return reduce(
        operator.or_,
        ((pc.field("interval") == each) & (pc.field("start") >= since[each]) for each in since),
    )


def _letter(row: dict[str, Any]) -> DeadLetter:
    return DeadLetter(
        row["topic"],
        row["partition"],
        row["first_offset"],
        row["position"],
        row["reason"],
        row["payload"],
        row["received_at"],
        endpoint=None,
    )


def _dead_letter_spans(dead: Sequence[dict[str, Any]]) -> list[Span]:
    """Return one span per message and cause, with the positions of its unreadable candles."""
    positions = defaultdict[tuple[str, int, str, int], list[int]](list)
    for row in dead:
        place = (row["topic"], row["partition"], cause_of(row["reason"]), row["first_offset"])
        positions[place].append(row["position"])
    return [
        Span(
            *(topic, partition, cause, offset, offset, len(each)),
            THE_MESSAGE if each == [WHOLE_MESSAGE] else to_bits(each),
        )
        for (topic, partition, cause, offset), each in sorted(positions.items())
    ]
