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

START_DEADLINE = 600.0
"""Seconds until the first prices. Spark starts in half a minute, on a busy machine in several."""


@pytest.fixture(scope="session")
def secured() -> Iterator[Stack]:
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
        try:
            wait_for(
                lambda: served(stack.settings, since=time.time() - 60),
                lambda found: found == {*EXTRACTORS},
                deadline=START_DEADLINE,
                pause=1,
            )
        except AssertionError as late:
            raise AssertionError(diagnosis(stack, [*EXTRACTORS])) from late
        yield stack


@pytest.fixture(scope="session")
def proxy(secured: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    folder: Path = tmp_path_factory.mktemp("nginx")
    with nginx(secured.settings.server_port, folder) as running:
        yield running
