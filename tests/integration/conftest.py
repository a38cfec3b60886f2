"""Kafka, MinIO and Postgres for the tests: the real programs. One that does not come up fails the run."""

import itertools
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra import supervision
from infra.services import postgres
from infra.stack import Stack, delete
from infra.up import services_up
from tests.conftest import STACK, settings_on

DATABASE_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The three services, with topics, bucket and tables; ended and deleted after the last test."""
    try:
        services_up(STACK)
        yield STACK
    finally:
        supervision.stop(STACK)
        delete(STACK)


@pytest.fixture(scope="session")
def settings(stack: Stack) -> Settings:
    return stack.settings


@pytest.fixture
def database(stack: Stack) -> Iterator[Settings]:
    """The stack's settings with a database of the test's own: all tables, no rows."""
    name = f"test_{next(DATABASE_NUMBERS)}"
    settings = settings_on(stack, name)
    postgres.initialise(settings)
    yield settings


@pytest.fixture
def owner(database: Settings) -> Iterator[connection]:
    """A connection to `database` as its owner, in autocommit mode."""
    with closing(psycopg2.connect(database.database_url)) as opened:
        opened.autocommit = True
        yield opened
