"""Run the whole pipeline of a secured demo, with an nginx in front of its server."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra.first_prices import diagnosis, served
from infra.stack import Stack
from infra.up import EXTRACTORS, everything_up
from tests.support.nginx import Nginx, nginx
from tests.support.stacks import KUCOIN_RATE, own_stack
from tests.support.waiting import wait_for

SITE = "https://prices.example.org"
STREAMS_PER_ADDRESS = 2

START_DEADLINE = 1200.0
"""Seconds until the first prices. Spark starts in half a minute, but takes minutes on a busy machine."""


@pytest.fixture(scope="session")
def secured() -> Iterator[Stack]:
    """The stack with all programs. The jobs may still be starting: see `serving`."""
    with own_stack("secured", secured=True) as full:
        settings = replace(
            full.settings,
            exchange_kucoin_rate=KUCOIN_RATE,
            lake_batch_seconds=1,
            server_origins=SITE,
            server_stream_limit_per_address=STREAMS_PER_ADDRESS,
        )
        stack = replace(full, settings=settings)
        everything_up(stack)
        yield stack


@pytest.fixture(scope="session")
def serving(secured: Stack) -> Stack:
    """The same stack, once its server has prices of every exchange."""
    try:
        wait_for(
            lambda: served(secured.settings, since=time.time() - 60),
            lambda found: found == {*EXTRACTORS},
            deadline=START_DEADLINE,
            pause=1,
        )
    except AssertionError as late:
        raise AssertionError(diagnosis(secured, [*EXTRACTORS], START_DEADLINE)) from late
    return secured


@pytest.fixture(scope="session")
def proxy(serving: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    with nginx(serving.settings.server_port, folder) as running:
        yield running
