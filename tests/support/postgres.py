"""Query Postgres in tests, and make it fail."""

import select
import socket
import socketserver
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import connection

from core.settings import Settings
from infra import paths
from spark_jobs.kafka_source.offsets import Offsets
from tests.support.sockets import serving

SOON = timedelta(milliseconds=100)
"""Lock timeout for tests in which the lock is never released."""

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""COMMIT as psycopg2 sends it."""


def rows(database: connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with database.cursor() as statements:
        statements.execute(query, values or None)
        return statements.fetchall()


def contents(database: connection, tables: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of the tables as text, sorted."""
    return {table: sorted(rows(database, f"SELECT t::text FROM {table} t")) for table in tables}


def execute(database: connection, statement: str, *values: Any) -> None:
    with database.cursor() as statements:
        statements.execute(statement, values or None)


def start_at(database: connection, offsets: Offsets) -> None:
    """Set the progress of an empty database, to skip other tests' messages before these offsets."""
    for topic_partition, offset in offsets.items():
        execute(
            database, "INSERT INTO kafka_progress VALUES (%s, %s, %s)", *topic_partition, offset
        )


def of_postgres(program: str, database: Settings, *options: object) -> None:
    """Run a program of Postgres, such as pg_dump, on a database."""
    command = [
        paths.site_packages() / paths.POSTGRES_BIN / program,
        database.database_url,
        *options,
    ]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def end_sessions(database: connection, application: str) -> None:
    """Terminate the application's sessions in this database, and return when they are closed."""
    query = (
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        " WHERE application_name = %s AND datname = current_database()"
    )
    assert set(rows(database, query, application)) == {(True,)}


@contextmanager
def no_connections(
    database: Settings, name: str, *, kept: connection | None = None
) -> Iterator[None]:
    """Make a database unavailable for the block. All open connections but `kept` are terminated."""
    server = database.database_url.rsplit("/", 1)[0]
    with closing(psycopg2.connect(f"{server}/postgres")) as other:
        other.autocommit = True
        execute(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        execute(
            other,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> %s",
            name,
            kept.info.backend_pid if kept else 0,
        )
        try:
            yield
        finally:
            execute(other, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def dies_at_commit(database: Settings, *, arrives: bool) -> Iterator[tuple[Settings, Event]]:
    """Yield settings and an event. The first COMMIT after the event is set breaks its connection.

    Later ones work. If the COMMIT `arrives`, Postgres commits and only the answer is lost.
    """
    url = urlsplit(database.database_url)
    is_armed = Event()

    class Connection(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((url.hostname or "", url.port or 0)) as postgres:
                while self.pass_on(postgres):
                    pass

        def pass_on(self, postgres: socket.socket) -> bool:
            """Forward one chunk from either side. Return False when the connection is to end."""
            client: socket.socket = self.request
            (source, *_), _, _ = select.select([client, postgres], [], [])
            said = source.recv(65536)
            if source is client and said == COMMIT and is_armed.is_set():
                is_armed.clear()
                if arrives:
                    postgres.sendall(said)
                    assert b"COMMIT" in postgres.recv(65536)
                return False
            (postgres if source is client else client).sendall(said)
            return bool(said)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
    there = f"127.0.0.1:{server.server_address[1]}"
    through = database.database_url.replace(f"{url.hostname}:{url.port}", there)
    with serving(server):
        yield replace(database, database_url=through), is_armed
