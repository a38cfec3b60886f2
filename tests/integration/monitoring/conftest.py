"""Run a demo whose alerts go to a webhook of the test run."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from infra.stack import Stack
from tests.support.alerts import Webhook, webhook
from tests.support.stacks import demo_stack


@pytest.fixture(scope="session")
def receiver() -> Iterator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def demo(receiver: Webhook) -> Iterator[Stack]:
    with demo_stack("monitoring") as stack:
        yield replace(stack, settings=replace(stack.settings, alert_webhook_url=receiver.url))
