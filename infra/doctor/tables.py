"""Check Postgres: both connections, the migrations, the tables and the rights of both roles."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
from psycopg2.extensions import connection

from core.settings import Settings
from infra.doctor.finding import Finding
from infra.doctor.target import Target
from infra.services import postgres

CONNECT_TIMEOUT = 5
OWNERS_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")

MISSING_RIGHTS = """
SELECT name, required.right
FROM unnest(%(tables)s) AS name, unnest(%(rights)s) AS required ("right")
WHERE to_regclass('public.' || name) IS NOT NULL
    AND NOT has_table_privilege(to_regclass('public.' || name), required.right)
ORDER BY 1, 2
"""


def connected(database_url: str) -> connection:
    """Return a read-only connection. Raise psycopg2.OperationalError."""
    opened: connection = psycopg2.connect(
        database_url, application_name="doctor", connect_timeout=CONNECT_TIMEOUT
    )
    opened.set_session(readonly=True, autocommit=True)
    return opened


def connections(target: Target) -> Iterator[Finding]:
    """Connect with the jobs' URL and the server's. The errors contain host, port and user, no password."""
    settings = target.settings
    for setting, url in {
        "DATABASE_URL": settings.database_url,
        "READER_DATABASE_URL": settings.reader_database_url,
    }.items():
        try:
            connected(url).close()
        except psycopg2.OperationalError as error:
            reason = " ".join(str(error).split())
            yield Finding(f"{setting}: {reason}", target.remedy("postgres", setting))


def migrations(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database:
        missing, unknown = postgres.migrations_of(database)
    if missing:
        yield Finding(
            f"migrations not applied: {', '.join(missing)}", "make initialise applies them"
        )
    if unknown:
        yield Finding(
            f"migrations that this version does not know: {', '.join(unknown)}",
            "the database was made by a newer version or by other files: check out that version",
        )


def tables(settings: Settings) -> Iterator[Finding]:
    """Compare the tables with those that the migrations create."""
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        statements.execute(
            "SELECT name FROM unnest(%s) AS name WHERE to_regclass('public.' || name) IS NULL",
            (postgres.table_names(),),
        )
        for (name,) in statements.fetchall():
            yield Finding(
                f"the table {name} does not exist, though a migration created it",
                "restore it from a backup; or make initialise with a new database in DATABASE_URL, "
                "then make rebuild",
            )


def rights(settings: Settings) -> Iterator[Finding]:
    for url, needed in (
        (settings.database_url, OWNERS_RIGHTS),
        (settings.reader_database_url, ("SELECT",)),
    ):
        role = postgres.role_of(url)
        with closing(connected(url)) as database, database.cursor() as statements:
            statements.execute(
                MISSING_RIGHTS, {"tables": postgres.table_names(), "rights": list(needed)}
            )
            for table, right in statements.fetchall():
                yield Finding(
                    f"role {role} may not {right} on the table {table}",
                    "make initialise grants the server's role its rights; the jobs' role must own the tables",
                )
