"""Follow the streams with the Python libraries that people use for it."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import websocket
from httpx_sse import connect_sse
from httpx_ws import WebSocketSession, connect_ws
from psycopg2.extensions import connection
from sseclient import SSEClient
from websockets.sync.client import connect

from core.settings import Settings
from tests.support.conformance import OpenStream, check_conformance
from tests.support.server import DEADLINE

Receive = Callable[[], dict[str, Any]]

LARGEST = 64 * 1024 * 1024


@contextmanager
def by_websockets(address: str) -> Iterator[Receive]:
    with connect(address, max_size=LARGEST) as client:
        yield lambda: dict(json.loads(client.recv(DEADLINE)))


@contextmanager
def by_websocket_client(address: str) -> Iterator[Receive]:
    client = websocket.create_connection(address, timeout=DEADLINE)
    yield lambda: dict(json.loads(client.recv()))
    client.close()


@contextmanager
def by_aiohttp(address: str) -> Iterator[Receive]:
    async def messages() -> AsyncGenerator[str]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, max_msg_size=LARGEST, compress=15) as client,
        ):
            while True:
                yield await client.receive_str(timeout=DEADLINE)

    with asyncio.Runner() as runner:
        received = messages()
        yield lambda: dict(json.loads(runner.run(anext(received))))
        runner.run(received.aclose())


@contextmanager
def by_httpx_ws(address: str) -> Iterator[Receive]:
    client: WebSocketSession
    with connect_ws(address, max_message_size_bytes=LARGEST) as client:
        yield lambda: dict(json.loads(client.receive_text(DEADLINE)))


@contextmanager
def by_httpx_sse(address: str) -> Iterator[Receive]:
    with (
        httpx.Client(timeout=DEADLINE) as client,
        connect_sse(client, "GET", address) as source,
    ):
        events = source.iter_sse()
        yield lambda: dict(json.loads(next(events).data))


@contextmanager
def by_sseclient(address: str) -> Iterator[Receive]:
    with requests.get(address, stream=True, timeout=DEADLINE) as answer:
        events = SSEClient(iter(answer)).events()
        yield lambda: dict(json.loads(next(events).data))


@pytest.mark.parametrize(
    ("open_stream", "scheme", "path"),
    [
        (by_websockets, "ws", "/ws"),
        (by_websocket_client, "ws", "/ws"),
        (by_aiohttp, "ws", "/ws"),
        (by_httpx_ws, "ws", "/ws"),
        (by_httpx_sse, "http", "/stream"),
        (by_sseclient, "http", "/stream"),
    ],
)
def test_a_library_receives_what_postgres_has(
    database: Settings, owner: connection, open_stream: OpenStream, scheme: str, path: str
) -> None:
    check_conformance(database, owner, open_stream, scheme, path)
