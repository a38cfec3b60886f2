"""Delete expired rows, however many; keep the last batch; sort a day again only after a long pause."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from spark_jobs.postgres import upkeep
from spark_jobs.postgres.candle_days import RETENTION, make_days
from spark_jobs.postgres.upkeep import (
    BATCHES_KEPT,
    DEAD_LETTERS_KEPT,
    ROWS_AT_ONCE,
    Upkeep,
    one_step,
)
from tests.support.postgres import execute, rows
from tests.support.waiting import DEADLINE


def insert_batches(owner: connection, count: int, age: str) -> None:
    execute(
        owner,
        "INSERT INTO batches"
        " (rows_written, rows_refused, dead_letters, offsets, started_at, committed_at)"
        " SELECT 0, 0, 0, '{}', now(), now() - %s::interval FROM generate_series(1, %s)",
        age,
        count,
    )


def insert_dead_letters(owner: connection, first: int, last: int, age: str) -> None:
    execute(
        owner,
        'INSERT INTO dead_letters (topic, partition, "offset", position, reason, payload, written_at)'
        " SELECT 'a topic', 0, n, 0, 'a reason', '', now() - %s::interval"
        " FROM generate_series(%s, %s) AS n",
        age,
        first,
        last,
    )


def insert_spans(owner: connection, first: int, last: int, age: str) -> None:
    execute(
        owner,
        "INSERT INTO dead_letter_spans"
        " (topic, partition, cause, first_offset, last_offset, letters, positions, written_at)"
        " SELECT 'a topic', 0, 'a cause', n, n, 1, '', now() - %s::interval"
        " FROM generate_series(%s, %s) AS n",
        age,
        first,
        last,
    )


def test_old_batches_go_and_young_ones_stay(owner: connection, job: connection) -> None:
    insert_batches(owner, ROWS_AT_ONCE + 1, f"{BATCHES_KEPT.days} days 1 minute")
    insert_batches(owner, 2, f"{BATCHES_KEPT.days - 1} days 23 hours")
    one_step(job)
    assert rows(owner, "SELECT id FROM batches ORDER BY id") == [
        (ROWS_AT_ONCE + n,) for n in (2, 3)
    ]


def test_the_last_batch_stays_however_old(owner: connection, job: connection) -> None:
    insert_batches(owner, 2, "1 year")
    one_step(job)
    assert rows(owner, "SELECT id FROM batches") == [(2,)]


def test_a_hundred_thousand_old_dead_letters_go_at_once_and_young_ones_stay(
    owner: connection, job: connection
) -> None:
    for insert in (insert_dead_letters, insert_spans):
        insert(owner, 1, 1, f"{DEAD_LETTERS_KEPT.days - 1} days 23 hours")
        insert(owner, 2, 100_001, f"{DEAD_LETTERS_KEPT.days} days 1 minute")
    one_step(job)
    assert rows(owner, 'SELECT "offset" FROM dead_letters') == [(1,)]
    assert rows(owner, "SELECT first_offset FROM dead_letter_spans") == [(1,)]


def test_no_transaction_deletes_more_than_its_part(owner: connection, job: connection) -> None:
    execute(
        owner,
        """
        CREATE TABLE deleted (number bigint, transaction xid8);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO deleted SELECT count(*), pg_current_xact_id() FROM old_rows;
                RETURN NULL;
            END
        $$;
        CREATE TRIGGER note AFTER DELETE ON dead_letters REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION note()
        """,
    )
    insert_dead_letters(owner, 1, ROWS_AT_ONCE + 5, f"{DEAD_LETTERS_KEPT.days} days 1 minute")
    one_step(job)
    by_transaction = "SELECT sum(number)::int FROM deleted GROUP BY transaction ORDER BY 1"
    assert rows(owner, by_transaction) == [(5,), (ROWS_AT_ONCE,)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_day_whose_sorting_filled_the_disk_is_not_sorted_again_at_the_next_step(
    owner: connection, database: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with owner.cursor() as statements:
        make_days(statements, [(datetime.now(UTC) - timedelta(days=2)).date()])
    # The sequence counts the attempts: it is not rolled back.
    execute(
        owner,
        """
        CREATE SEQUENCE attempts;
        CREATE FUNCTION fill_the_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM nextval('attempts');
                RAISE disk_full;
            END
        $$;
        CREATE EVENT TRIGGER fill_the_disk ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
            EXECUTE FUNCTION fill_the_disk()
        """,
    )
    steps = 0

    def count_steps(job: connection, candles_kept: timedelta) -> None:
        nonlocal steps
        steps += 1
        one_step(job, candles_kept)
        if steps == 4:
            raise SystemExit  # Nothing else ends the thread.

    monkeypatch.setattr(upkeep, "one_step", count_steps)
    monkeypatch.setattr(upkeep, "EVERY_SECONDS", 0.01)
    thread = Upkeep(database.database_url, RETENTION)
    thread.start()
    thread.join(DEADLINE)
    execute(owner, "DROP EVENT TRIGGER fill_the_disk")
    assert steps == 4
    assert rows(owner, "SELECT last_value, is_called FROM attempts") == [(1, True)]
