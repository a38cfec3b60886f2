"""Serve both exchanges on one port, and set up the simulation of their markets."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from infra.replay.answers import json_answer
from infra.replay.binance.exchange import Binance
from infra.replay.binance.frames import BinanceUpdate
from infra.replay.connection import Observer
from infra.replay.control import control_routes
from infra.replay.faults.limits import BinanceLimits, KucoinLimits
from infra.replay.kucoin.exchange import Kucoin
from infra.replay.kucoin.frames import KucoinUpdate
from infra.replay.market.coins import Coins
from infra.replay.market.market import Market
from infra.replay.market.simulated_source import SimulatedSource
from infra.replay.market.symbols import (
    BINANCE_SYMBOLS,
    binance_listing,
    binance_trading,
    kucoin_listing,
    kucoin_trading,
)
from infra.replay.source import now_ms

BINANCE_PERIOD = 1.0
KUCOIN_PERIOD = 0.1
"""Seconds. KuCoin sends at most one frame per symbol and 100 ms: 6,340 per second for 634 symbols."""
KUCOIN_PARTS = 10
"""Number of parts of a period. The feed has one turn per part."""
KUCOIN_TRADED = 0.02
"""Share of frames that are trades. 7 of 821 recorded frames changed the price; some trades keep it."""

SHUTDOWN_TIMEOUT = 0.5
"""Timeout for closing the connections, in seconds. aiohttp may wait twice as long."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Settings of the simulated markets. Shares and rates are means."""

    seed: int = 1
    binance_symbols: int = BINANCE_SYMBOLS
    binance_changed: float = 0.4
    kucoin_rate: float = 2000.0
    binance: BinanceLimits = field(default_factory=BinanceLimits)
    kucoin: KucoinLimits = field(default_factory=KucoinLimits)

    def exchanges(self, observer: Observer | None = None) -> tuple[Binance, Kucoin]:
        """Return both exchanges. `observer` receives the events of their connections.

        Raise ValueError for an invalid setting.
        """
        binance_listed, kucoin_listed = binance_listing(), kucoin_listing()
        binance_pairs = binance_trading(binance_listed, self.binance_symbols)
        kucoin_pairs = kucoin_trading(kucoin_listed)
        if not 0 < self.kucoin_rate < math.inf:
            raise ValueError(
                f"{self.kucoin_rate} KuCoin frames a second: expected a finite number above 0"
            )
        # A shorter period generates more load than KuCoin's limit of frames per symbol allows.
        kucoin_period = min(KUCOIN_PERIOD, len(kucoin_pairs) / self.kucoin_rate)
        coins = Coins([*binance_pairs, *kucoin_pairs], self.seed)
        now = now_ms()
        binance = Market(
            binance_pairs,
            coins,
            seed=self.seed,
            period=BINANCE_PERIOD,
            changed=self.binance_changed,
            traded=1,
            now=now,
        )
        kucoin = Market(
            kucoin_pairs,
            coins,
            seed=self.seed,
            period=kucoin_period,
            changed=min(1.0, self.kucoin_rate * kucoin_period / len(kucoin_pairs)),
            traded=KUCOIN_TRADED,
            now=now,
        )
        return (
            Binance(
                SimulatedSource(binance, BinanceUpdate),
                binance_listed,
                binance_pairs,
                self.binance,
                observer,
            ),
            Kucoin(
                SimulatedSource(kucoin, KucoinUpdate, KUCOIN_PARTS),
                kucoin_listed,
                self.kucoin,
                observer,
            ),
        )


@asynccontextmanager
async def serving(binance: Binance, kucoin: Kucoin, host: str, port: int) -> AsyncIterator[int]:
    """Serve for the block and yield the port.

    If a feed fails, cancel the block and raise an ExceptionGroup with the feed's error. Raise OSError
    if the port is taken.
    """
    app = web.Application()
    connections = {"binance": binance.connections, "kucoin": kucoin.connections}
    app.add_routes([*binance.routes(), *kucoin.routes(), *control_routes(connections)])
    app.add_routes([web.get("/healthz", healthz), *unknown_paths()])

    async def shut_down(_: web.Application) -> None:
        for each in connections.values():
            each.shut_down()

    app.on_shutdown.append(shut_down)
    # No access log: the query string of KuCoin's socket contains the token.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_TIMEOUT)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        async with asyncio.TaskGroup() as tasks:
            feeds = [tasks.create_task(exchange.run()) for exchange in (binance, kucoin)]
            yield runner.addresses[0][1]
            for feed in feeds:
                feed.cancel()
    finally:
        await runner.cleanup()


def unknown_paths() -> list[web.RouteDef]:
    """Return routes with each exchange's answer to unknown paths below /api. Add them after all others."""

    async def binance(request: web.Request) -> web.Response:
        text = "<html><body><h2>404 Not found</h2></body></html>"
        return web.Response(status=404, text=text, content_type="text/html")

    async def kucoin(request: web.Request) -> web.Response:
        return json_answer({"code": "404000", "msg": "Url Not Found"}, status=404)

    return [
        web.route("*", "/api/v3/{tail:.*}", binance),
        web.route("*", "/api/{version:v1|v2}/{tail:.*}", kucoin),
    ]


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok")
