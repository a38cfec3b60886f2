"""Start a pgbouncer in session mode in front of the worker's Postgres."""

import itertools
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.services import postgres
from infra.stack import Stack
from tests.support.pgbouncer import Pgbouncer, find_pgbouncer
from tests.support.stacks import settings_on

DATABASE_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def program() -> str:
    """Path of pgbouncer. The run fails if it is not installed."""
    return find_pgbouncer()


@pytest.fixture(scope="module")
def pgbouncer(program: str, stack: Stack) -> Iterator[Pgbouncer]:
    started = Pgbouncer(program, stack)
    yield started
    started.kill()


@pytest.fixture
def direct(stack: Stack) -> Settings:
    """Settings that connect to the test's database directly, without pgbouncer."""
    return settings_on(stack, f"behind_pgbouncer_{next(DATABASE_NUMBERS)}")


@pytest.fixture
def pooled(pgbouncer: Pgbouncer, direct: Settings) -> Settings:
    """Settings that connect to the same database through pgbouncer, which is also used to create it."""
    settings = pgbouncer.through(direct)
    postgres.initialise(settings)
    return settings


@pytest.fixture
def owner(pooled: Settings, direct: Settings) -> Iterator[connection]:
    """A direct connection as the database's owner, in autocommit mode."""
    with closing(psycopg2.connect(direct.database_url)) as opened:
        opened.autocommit = True
        yield opened
