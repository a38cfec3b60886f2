"""Run the replay exchange in a thread of this process on a free port, and inflict faults on it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import quote

import requests

from core.settings import Settings
from core.topics import TOPIC_OF_EXCHANGE
from infra.replay.binance.exchange import Binance
from infra.replay.connections import Reach
from infra.replay.faults.faults import Close, Fault, Unauthorized
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.server import serving

TIMEOUT = 60.0
"""Timeout of a control request, in seconds: other tests may keep both cores busy."""


@contextmanager
def running(binance: Binance, kucoin: Kucoin, port: int = 0) -> Iterator[str]:
    """Yield `127.0.0.1:port`, with a free port if `port` is 0. Errors of the server are raised here."""
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(binance, kucoin, "127.0.0.1", port) as used:
            started.set_result((used, asyncio.get_running_loop(), stop))
            await stop.wait()

    with ThreadPoolExecutor(1, "exchange") as pool:
        ended = pool.submit(lambda: asyncio.run(serve()))
        either: list[Future[Any]] = [started, ended]
        wait(either, return_when=FIRST_COMPLETED)
        if ended.done():
            ended.result()
        used, loop, stop = started.result()
        try:
            yield f"127.0.0.1:{used}"
        finally:
            if not ended.done():
                loop.call_soon_threadsafe(stop.set)
            ended.result(timeout=10)


def settings_at(settings: Settings, address: str, **changed: Any) -> Settings:
    """Return the settings with both exchanges at this address, `host:port`."""
    return replace(settings.with_all_exchanges_at(address), **changed)


def kucoin_url(address: str, connect_id: str = "c1") -> str:
    """Return the URL of KuCoin's WebSocket, with endpoint and token from bullet-public."""
    answer = requests.post(f"http://{address}/api/v1/bullet-public", timeout=TIMEOUT).json()
    endpoint = answer["data"]["instanceServers"][0]["endpoint"]
    token = quote(answer["data"]["token"], safe="")
    return f"{endpoint}?token={token}&connectId={connect_id}"


def inflict(address: str, exchange: str, fault: Fault, connections: Reach = 1) -> None:
    """Inflict a fault through the control API. On return it is pending, or open connections have it."""
    body = {"fault": fault.name(), "connections": connections, **asdict(fault)}
    answer = requests.post(f"http://{address}/control/{exchange}", json=body, timeout=TIMEOUT)
    assert answer.status_code == 204, answer.text


def clear(address: str, exchange: str) -> None:
    answer = requests.delete(f"http://{address}/control/{exchange}", timeout=TIMEOUT)
    assert answer.status_code == 204, answer.text


def close(address: str) -> None:
    """Close all connections of both exchanges with a close frame, and refuse new ones."""
    for exchange in TOPIC_OF_EXCHANGE:
        inflict(address, exchange, Unauthorized(), "every")
        inflict(address, exchange, Close(), "open")
