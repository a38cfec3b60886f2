"""Test that a request that fails is counted once: with the status that was sent, otherwise with 500."""

import asyncio
from contextlib import suppress
from typing import cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from server.metrics import CountRequests, Metrics


def counted_after_error(*sent: Message) -> dict[str, float]:
    """Return the requests by status after an application sent these messages and failed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in sent:
            await send(message)
        raise OSError("the client is gone")

    async def discard(message: Message) -> None:
        pass

    metrics = Metrics()
    with suppress(OSError):
        asyncio.run(
            CountRequests(app, metrics=metrics)({"type": "http"}, cast(Receive, None), discard)
        )
    text, _media_type = metrics.text("")
    return {
        sample.labels["status"]: sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == "server_requests_total"
    }


@pytest.mark.parametrize(
    ("sent", "counted"),
    [
        ([], {"500": 1}),
        ([{"type": "http.response.start", "status": 200}], {"200": 1}),
    ],
)
def test_request_that_fails_is_counted_once(sent: list[Message], counted: dict[str, float]) -> None:
    assert counted_after_error(*sent) == counted
