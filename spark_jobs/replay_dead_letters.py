"""Reads the raw topics' dead letters again: after a fix, what they say becomes prices and candles.

    python -m spark_jobs.replay_dead_letters

While the live job is stopped; it is refused otherwise. The messages of the spans are read from Kafka once
more. A letter that can be read now goes the way of any ticker, and in the same transaction the spans are
rewritten without it: it counts once. Items that were read when their message came are left out. A price wins
only if it is the newer. kafka_progress is not touched.

Where Kafka no longer holds all of a span, its letters are read from their rows of dead_letters, if each has
one. When a letter was written stands for Kafka's own time then, so what was ahead of it stays a dead letter.
A span that neither holds stays as it is.

The small topics need none of this: their tables are right however often a message is read, so it is
enough to delete a topic's rows of kafka_progress, and the live job reads it from its start.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection, cursor
from psycopg2.extras import execute_values

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.dead_letters import (
    COLUMNS_OF_SPANS,
    as_span,
    insert_letters,
    letters_of,
    upsert_spans,
)
from spark_jobs.entry import run
from spark_jobs.kept_messages import KeptMessages
from spark_jobs.price_sink import PriceSink
from spark_jobs.reading import cause_of
from spark_jobs.running import log_to_stderr
from spark_jobs.tickers.columns import REDUCED, as_table
from spark_jobs.tickers.letters_again import Now, Stored, letters_now, read_again
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.spans import BLOCK, Span
from spark_jobs.topic_ids import topic_ids

# Of spans that are read from their rows, in a transaction.
LETTERS_AT_ONCE = 1000

KEY = 'topic, partition, "offset", position'
NEXT_BLOCK = f"""
SELECT topic, partition, first_offset / {BLOCK} * {BLOCK} FROM dead_letter_spans
WHERE topic = ANY(%s) AND (topic, partition, first_offset) >= %s
ORDER BY topic, partition, first_offset LIMIT 1
"""
SPANS_OF_BLOCK = f"""
SELECT {COLUMNS_OF_SPANS} FROM dead_letter_spans
WHERE topic = %s AND partition = %s AND first_offset BETWEEN %s AND %s
ORDER BY first_offset, cause
"""
LETTERS_OF_SPAN = f"""
SELECT {KEY}, reason, payload, endpoint, written_at FROM dead_letters
WHERE topic = %s AND partition = %s AND "offset" BETWEEN %s AND %s AND split_part(reason, ':', 1) = %s
ORDER BY "offset", position LIMIT %s
"""
LETTERS_OF_BLOCK = """
SELECT "offset", position, reason FROM dead_letters
WHERE topic = %s AND partition = %s AND "offset" BETWEEN %s AND %s
"""
DELETE_SPANS = """
DELETE FROM dead_letter_spans WHERE (topic, partition, cause, first_offset) IN (VALUES %s)
"""
DELETE_LETTERS = f"DELETE FROM dead_letters WHERE ({KEY}) IN (VALUES %s)"
UPDATE_LETTERS = """
UPDATE dead_letters AS stored SET reason = current.reason
FROM (VALUES %s) AS current (topic, partition, "offset", position, reason)
WHERE stored.topic = current.topic AND stored.partition = current.partition
    AND stored."offset" = current."offset" AND stored.position = current.position
"""


class Replayed(NamedTuple):
    """Of all dead letters: those that can be read now, and those that nothing holds any more."""

    letters: int
    readable: int
    expired: int


class ReplaySink(PriceSink):
    """The live job's sink, for what comes from dead letters."""

    def replace(self, was: Sequence[Span], now: Now) -> None:
        """Write what can be read, and rewrite spans of one block and their rows, in one transaction."""
        found = as_table(now.rows, REDUCED)
        old, new = {*was}, {*now.spans}
        if not found.num_rows and old == new:
            return
        with self._connection, self._connection.cursor() as statements:
            if found.num_rows:
                self._write_tickers(statements, found, reached={})
            gone = [span[:4] for span in old - new]
            execute_values(statements, DELETE_SPANS, gone)
            upsert_spans(statements, sorted(new - old, key=lambda span: span[:4]))
            _renew_rows(statements, was, now)
            insert_letters(statements, letters_of(found))


def _renew_rows(statements: cursor, was: Sequence[Span], now: Now) -> None:
    """Delete the rows of letters that can be read, and of those that can't, store why they can't now."""
    topic, partition = was[0].topic, was[0].partition
    first, last = was[0].first_offset, max(span.last_offset for span in was)
    statements.execute(LETTERS_OF_BLOCK, (topic, partition, first, last))
    readable, otherwise = [], []
    for offset, position, reason in statements.fetchall():
        is_again = any(span.cause == cause_of(reason) and span.has(offset) for span in was)
        if not is_again or offset in now.unchanged:
            continue
        current = now.dead.get((offset, position))
        if current is None:
            readable.append((topic, partition, offset, position))
        elif current != reason:
            otherwise.append((topic, partition, offset, position, current))
    execute_values(statements, DELETE_LETTERS, readable)
    execute_values(statements, UPDATE_LETTERS, otherwise)


def replay_dead_letters(settings: Settings) -> Replayed:
    """Raise SecondLiveJobError beside a live job, TopicError for a topic that was created again."""
    letters = readable = expired = 0
    with (
        closing(ReplaySink(settings.database_url, settings.candles_retention)) as sink,
        closing(psycopg2.connect(settings.database_url)) as database,
        KeptMessages(settings) as messages,
    ):
        sink.resume(topic_ids(settings, sink.topics))
        held = cache(messages.held)
        for spans in blocks(database):
            letters += sum(span.letters for span in spans)
            kept = held(spans[0].topic, spans[0].partition)
            whole = [s for s in spans if s.first_offset in kept and s.last_offset in kept]
            if whole:
                readable += _replace(sink, whole, from_kafka(messages, whole))
            rest = [span for span in spans if span not in whole]
            for some in with_rows(database, rest):
                found = [span for span, _rows in some]
                rows = [row for _span, rows in some for row in rows]
                readable += _replace(sink, found, letters_now(found, read_again(rows)))
                rest = [span for span in rest if span not in found]
            expired += sum(span.letters for span in rest)
    return Replayed(letters, readable, expired)


def _replace(sink: ReplaySink, was: Sequence[Span], now: Now) -> int:
    sink.replace(was, now)
    return sum(span.letters for span in was) - now.still_dead


def blocks(database: connection) -> Iterator[list[Span]]:
    """Yield the spans of each block of each partition of the raw topics, in order."""
    after = ("", 0, 0)
    while True:
        with database, database.cursor() as statements:
            statements.execute(NEXT_BLOCK, (list(EXCHANGE_OF_TOPIC), after))
            found = statements.fetchall()
            if not found:
                return
            ((topic, partition, start),) = found
            statements.execute(SPANS_OF_BLOCK, (topic, partition, start, start + BLOCK - 1))
            spans = [as_span(row) for row in statements.fetchall()]
        yield spans
        after = (topic, partition, start + BLOCK)


def from_kafka(messages: KeptMessages, was: Sequence[Span]) -> Now:
    """Return what the letters of spans of one block have become, by their messages in Kafka."""
    offsets = {offset for span in was for offset in range(span.first_offset, span.last_offset + 1)}
    now = Now()
    for some in messages.read(was[0].topic, was[0].partition, offsets):
        now.add(letters_now(was, read_messages(some)))
    return now


def with_rows(
    database: connection, spans: Sequence[Span]
) -> Iterator[list[tuple[Span, list[Stored]]]]:
    """Yield the spans of which each letter has a row, with the rows: some LETTERS_AT_ONCE at a time."""
    some: list[tuple[Span, list[Stored]]] = []
    for span in spans:
        with database, database.cursor() as statements:
            place = (*span[:2], span.first_offset, span.last_offset, span.cause)
            # One more than it has says enough.
            statements.execute(LETTERS_OF_SPAN, (*place, span.letters + 1))
            rows = [Stored(*row)._replace(payload=bytes(row[5])) for row in statements.fetchall()]
        if len(rows) != span.letters:
            continue
        some.append((span, rows))
        if sum(len(rows) for _span, rows in some) >= LETTERS_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def main() -> None:
    letters, readable, expired = replay_dead_letters(Settings.from_environment(JOBS))
    print(f"{letters} dead letters, {readable} can be read now")
    if expired:
        print(f"{expired} stay: Kafka no longer holds their messages")


if __name__ == "__main__":
    log_to_stderr()
    run("replay_dead_letters", main)
