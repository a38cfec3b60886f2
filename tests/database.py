"""What befalls the database of a test."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg2

from core.settings import Settings


@contextmanager
def no_connections(database: Settings, name: str) -> Iterator[None]:
    """As if Postgres were away, for this database alone."""
    with closing(psycopg2.connect(database.database_url.rsplit("/", 1)[0] + "/postgres")) as other:
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            cursor.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (name,),
            )
            try:
                yield
            finally:
                cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
