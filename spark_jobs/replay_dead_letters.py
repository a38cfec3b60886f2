"""Replay dead letters: after a fix, those of the raw topics become prices and candles.

    python -m spark_jobs.replay_dead_letters

Run it while the live job is stopped; otherwise it refuses. The messages of the spans are read from Kafka
again. A letter that can be read now is written like any ticker, and the same transaction rewrites the
spans without it, so it counts once. Items that could be read the first time are skipped. A price
replaces the stored one only if it is newer. The progress in the raw topics does not change. Table
tickers/ does not change either: a rebuild adds their tickers.

If any message of a span has expired in Kafka, all letters of the span are read from `dead_letters`,
provided each has a row. `written_at` then replaces Kafka's timestamp. A span that neither holds stays
unchanged; a rebuild reads its messages from `raw/`.

The live job reads the other topics with dead letters again, from their oldest records: see
Transactions.reset_topics_with_dead_letters.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from functools import cache, partial
from typing import NamedTuple

import psycopg2
from psycopg2.extensions import connection, cursor
from psycopg2.extras import execute_values

from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.exchange_candles.sink import ExchangeCandlesSink
from spark_jobs.history.kept_messages import KeptMessages
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.postgres.dead_letters import (
    COLUMNS_OF_SPANS,
    as_span,
    examples_of,
    insert_letters,
    letters_in,
    upsert_spans,
)
from spark_jobs.postgres.price_sink import TABLES, write_tickers
from spark_jobs.postgres.small_topics_sink import SmallTopicsSink
from spark_jobs.postgres.transaction import Transactions
from spark_jobs.run.entry import run
from spark_jobs.run.runner import log_to_stderr
from spark_jobs.tickers.columns import REDUCED, as_table
from spark_jobs.tickers.letters.reread import Now, Stored, read_again, reread_letters
from spark_jobs.tickers.letters.spans import BLOCK, Span
from spark_jobs.tickers.reader import read_messages
from spark_jobs.tickers.reading import cause_of

LETTERS_AT_ONCE = 1000
"""Letters that are read from their rows in one transaction; the last span may exceed it."""

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
# Keys of the spans of a block whose letters all have rows. Both tables are restricted to the block:
# otherwise Postgres may scan all rows of the partition.
SPANS_WITH_ROWS = """
SELECT span.topic, span.partition, span.cause, span.first_offset
FROM dead_letter_spans AS span
JOIN dead_letters AS letter
    ON letter.topic = span.topic AND letter.partition = span.partition
    AND letter."offset" BETWEEN span.first_offset AND span.last_offset
    AND split_part(letter.reason, ':', 1) = span.cause
WHERE span.topic = %(topic)s AND span.partition = %(partition)s
    AND span.first_offset BETWEEN %(first)s AND %(last)s
    AND letter."offset" BETWEEN %(first)s AND %(last)s
GROUP BY span.topic, span.partition, span.first_offset, span.cause
HAVING count(*) = span.letters
"""
LETTERS_OF_SPANS = f"""
SELECT {KEY}, reason, payload, endpoint, written_at
FROM unnest(%(causes)s, %(firsts)s::bigint[], %(lasts)s::bigint[]) AS span (cause, first_offset, last_offset)
JOIN dead_letters ON "offset" BETWEEN first_offset AND last_offset AND split_part(reason, ':', 1) = cause
WHERE topic = %(topic)s AND partition = %(partition)s AND "offset" BETWEEN %(first)s AND %(last)s
ORDER BY "offset", position
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
    """Dead letters of the raw topics: all, readable now, and those that neither Kafka nor rows hold."""

    letters: int
    readable: int
    expired: int


def replace(postgres: Transactions, was: Sequence[Span], now: Now, candles_kept: timedelta) -> None:
    """Write readable letters, and rewrite the spans of one block and their rows, in one transaction."""
    found = as_table(now.rows, REDUCED)
    old, new = {*was}, {*now.spans}
    if not found.num_rows and old == new:
        return
    with postgres.begin() as statements:
        if found.num_rows:
            write_tickers(statements, found, {}, candles_kept)
        gone = [span[:4] for span in old - new]
        execute_values(statements, DELETE_SPANS, gone)
        upsert_spans(statements, sorted(new - old, key=lambda span: span[:4]))
        _update_rows(statements, was, now)
        insert_letters(statements, examples_of(letters_in(found)))


def _update_rows(statements: cursor, was: Sequence[Span], now: Now) -> None:
    """Delete the rows of letters that can be read now. Update the reason in the rows of the others."""
    topic, partition = was[0].topic, was[0].partition
    first, last = was[0].first_offset, max(span.last_offset for span in was)
    replayed = {(span.cause, offset) for span in was for offset in span.offsets}
    statements.execute(LETTERS_OF_BLOCK, (topic, partition, first, last))
    readable, changed = [], []
    for offset, position, reason in statements.fetchall():
        if (cause_of(reason), offset) not in replayed or offset in now.unchanged:
            continue
        current = now.dead.get((offset, position))
        if current is None:
            readable.append((topic, partition, offset, position))
        elif current != reason:
            changed.append((topic, partition, offset, position, current))
    execute_values(statements, DELETE_LETTERS, readable)
    execute_values(statements, UPDATE_LETTERS, changed)


def replay_dead_letters(settings: Settings) -> Replayed:
    """Replay the dead letters of the raw topics.

    Raise SecondLiveJobError if a live job is running, TopicError for a topic that was created again.
    """
    letters = readable = expired = 0
    with (
        closing(Transactions(settings.database_url, "ReplaySink", TABLES)) as postgres,
        closing(psycopg2.connect(settings.database_url)) as database,
        KeptMessages(settings) as messages,
    ):
        postgres.resume(topic_ids(settings, TABLES.topics))
        replace_all = partial(_replace, postgres, settings.candles_retention)
        held = cache(messages.held)
        for spans in blocks(database):
            letters += sum(span.letters for span in spans)
            kept = held(spans[0].topic, spans[0].partition)
            whole = [s for s in spans if s.first_offset in kept and s.last_offset in kept]
            if whole:
                readable += replace_all(whole, from_kafka(messages, whole))
            in_kafka = {*whole}
            rest = [span for span in spans if span not in in_kafka]
            expired += sum(span.letters for span in rest)
            for portion, rows in with_rows(database, rest):
                readable += replace_all(portion, reread_letters(portion, read_again(rows)))
                expired -= sum(span.letters for span in portion)
    return Replayed(letters, readable, expired)


def _replace(postgres: Transactions, candles_kept: timedelta, was: Sequence[Span], now: Now) -> int:
    """Call `replace`, and return the number of letters that can be read now."""
    replace(postgres, was, now, candles_kept)
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
    """Read the messages of one block's spans from Kafka. Return what their letters have become."""
    offsets = {offset for span in was for offset in span.offsets}
    now = Now()
    for some in messages.read(was[0].topic, was[0].partition, offsets):
        now.add(reread_letters(was, read_messages(some)))
    return now


def with_rows(
    database: connection, spans: Sequence[Span]
) -> Iterator[tuple[list[Span], list[Stored]]]:
    """Yield portions of a block's spans and their rows. Skip spans of which a letter has no row."""
    if not spans:
        return
    topic, partition, _cause, first = spans[0][:4]
    start = first - first % BLOCK
    block = {"topic": topic, "partition": partition, "first": start, "last": start + BLOCK - 1}
    with database, database.cursor() as statements:
        statements.execute(SPANS_WITH_ROWS, block)
        complete = {*statements.fetchall()}
    for portion in portions(span for span in spans if span[:4] in complete):
        bounds = {
            "causes": [span.cause for span in portion],
            "firsts": [span.first_offset for span in portion],
            "lasts": [span.last_offset for span in portion],
        }
        with database, database.cursor() as statements:
            statements.execute(LETTERS_OF_SPANS, block | bounds)
            rows = [Stored(*row)._replace(payload=bytes(row[5])) for row in statements.fetchall()]
        yield portion, rows


def portions(spans: Iterable[Span]) -> Iterator[list[Span]]:
    """Split spans, in order, into lists of at least LETTERS_AT_ONCE letters; the last may have fewer."""
    portion: list[Span] = []
    letters = 0
    for span in spans:
        portion.append(span)
        letters += span.letters
        if letters >= LETTERS_AT_ONCE:
            yield portion
            portion, letters = [], 0
    if portion:
        yield portion


def reread_other_topics(settings: Settings) -> list[str]:
    """Make the live job read the other topics with dead letters again. Return their names.

    Raise SecondLiveJobError if a live job is running.
    """
    topics: list[str] = []
    for opened in (
        SmallTopicsSink(settings.database_url),
        ExchangeCandlesSink(settings.database_url, settings.candles_retention),
    ):
        with closing(opened) as sink:
            topics += sink.postgres.reset_topics_with_dead_letters()
    return topics


def main() -> None:
    settings = Settings.from_environment(JOBS)
    letters, readable, expired = replay_dead_letters(settings)
    print(f"{letters} dead letters, {readable} can be read now")
    if readable:
        print(
            "tickers/ still lacks them: make audit reports too few rows until make rebuild adds them"
        )
    if expired:
        print(f"{expired} dead letters have expired in Kafka; make rebuild reads them from raw/")
    for topic in reread_other_topics(settings):
        print(f"{topic}: the live job reads it again from its oldest record")


if __name__ == "__main__":
    log_to_stderr()
    run("replay_dead_letters", main)
