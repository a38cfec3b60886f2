"""Report rows that were computed with earlier reading rules, so that nobody takes them to be correct."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2

from core.reading_rules import READING_RULES
from core.settings import Settings
from infra.services import ticker_table
from spark_jobs.lake.tickers.schema import rules_of


def advice(settings: Settings) -> str:
    """Return what to run, and why; empty if all rows were computed with the present rules."""
    stores = [*_tables(settings), *_tickers(settings)]
    if not stores:
        return ""
    return (
        f"{' and '.join(stores)}: computed by an earlier version, which read messages by other rules. New "
        "messages are read correctly. Run make rebuild to compute all rows again (docs/history.md)"
    )


def _tables(settings: Settings) -> Iterator[str]:
    with closing(psycopg2.connect(settings.database_url)) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT exchange FROM reading_rules WHERE rules < %s ORDER BY exchange",
            (READING_RULES,),
        )
        for (exchange,) in cursor:
            yield f"tables of {exchange}"


def _tickers(settings: Settings) -> Iterator[str]:
    table = ticker_table.opened(settings)
    if table and rules_of(table) < READING_RULES:
        yield "tickers/"
