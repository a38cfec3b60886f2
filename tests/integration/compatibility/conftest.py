"""Run each test of this folder once for each version whose data are kept."""

import itertools
from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from tests.compatibility.carry import restore_tables
from tests.compatibility.kept import Version, versions
from tests.support.stacks import settings_on

VERSIONS = versions()

DATABASE_NUMBERS = itertools.count(1)


@pytest.fixture(params=VERSIONS, ids=[version.name for version in VERSIONS])
def version(request: pytest.FixtureRequest) -> Version:
    kept: Version = request.param
    return kept


@pytest.fixture
def restored(version: Version, stack: Stack) -> Settings:
    """The database as the earlier version left it, without any newer migration."""
    settings = settings_on(stack, f"kept_{next(DATABASE_NUMBERS)}")
    restore_tables(stack, settings, version)
    return settings


@pytest.fixture
def kept(restored: Settings) -> Iterator[connection]:
    """A connection to the restored database."""
    with closing(psycopg2.connect(restored.database_url)) as opened:
        opened.autocommit = True
        yield opened
