import asyncio
from typing import get_args

import pytest

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from server.app import create_app
from server.fields import Exchange
from server.streams.hub import Hub
from tests.support.server import DEADLINE, free_port


def test_every_exchange_of_the_pipeline_can_be_asked_for() -> None:
    assert set(get_args(Exchange)) == set(TOPIC_OF_EXCHANGE)


def test_a_failure_of_the_client_checks_is_logged_at_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise RuntimeError("a client without a socket")

    hub = Hub()
    monkeypatch.setattr(hub, "check_clients", fail)
    url = f"postgresql://reader:secret@127.0.0.1:{free_port()}/none"
    app = create_app(Settings(reader_database_url=url), hub)

    async def logged_while_it_runs() -> str:
        async with app.router.lifespan_context(app):
            async with asyncio.timeout(DEADLINE):
                while "RuntimeError: a client without a socket" not in caplog.text:
                    await asyncio.sleep(0.01)
            return caplog.text

    assert "client checks failed" in asyncio.run(logged_while_it_runs())
