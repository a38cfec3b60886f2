"""python -m infra.exchange: serve until SIGTERM or SIGINT."""

import asyncio
import logging
import signal
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from dataclasses import fields
from typing import Any

from core.settings import SettingError, Settings
from infra.exchange.limits import BinanceLimits, KucoinLimits, Limits
from infra.exchange.server import Simulation, serving

log = logging.getLogger("infra.exchange")

LIMITS: dict[str, type[Limits]] = {"binance": BinanceLimits, "kucoin": KucoinLimits}


def arguments() -> Namespace:
    parser = ArgumentParser(
        prog="python -m infra.exchange",
        description="A local server that speaks the public protocols of Binance and KuCoin.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    try:
        settings = Settings.from_environment()
    except SettingError as error:
        parser.error(str(error))
    simulation = Simulation()
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="the address to listen on")
    option("--port", type=int, default=settings.exchange_port, help="0 takes a free one")
    option("--seed", type=int, default=simulation.seed, help="the same seed, the same prices")
    option(
        "--binance-symbols",
        type=int,
        default=simulation.binance_symbols,
        help="how many symbols trade",
    )
    option(
        "--binance-changed",
        type=float,
        default=simulation.binance_changed,
        metavar="SHARE",
        help="how many of them change in a second, 0 to 1",
    )
    option(
        "--kucoin-rate",
        type=float,
        default=simulation.kucoin_rate,
        metavar="FRAMES",
        help="KuCoin frames a second; above 6,340, more than one per symbol and 100 ms",
    )
    add_limits(parser)
    return parser.parse_args()


def add_limits(parser: ArgumentParser) -> None:
    for exchange, limits in LIMITS.items():
        for limit in fields(limits):
            if limit.type is float:
                parser.add_argument(
                    f"--{exchange}-{limit.name.replace('_', '-')}",
                    type=float,
                    default=limit.default,
                    metavar="SECONDS",
                    help=f"the {limit.name.replace('_', ' ')}",
                )
    parser.add_argument(
        "--tokens-once",
        dest="kucoin_tokens_once",
        action="store_true",
        help="a KuCoin token opens one connection, and then no other",
    )


def limits_of(exchange: str, given: Namespace) -> dict[str, Any]:
    return {
        each.name: getattr(given, f"{exchange}_{each.name}") for each in fields(LIMITS[exchange])
    }


async def serve(simulation: Simulation, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(*simulation.exchanges(), host, port) as bound_port:
        log.info("serving on http://%s:%d: %s", host, bound_port, simulation)
        await stop.wait()
    log.info("stopped")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = arguments()
    try:
        simulation = Simulation(
            seed=given.seed,
            binance_symbols=given.binance_symbols,
            binance_changed=given.binance_changed,
            kucoin_rate=given.kucoin_rate,
            binance=BinanceLimits(**limits_of("binance", given)),
            kucoin=KucoinLimits(**limits_of("kucoin", given)),
        )
        asyncio.run(serve(simulation, given.host, given.port))
    except (ValueError, OSError) as error:
        raise SystemExit(f"infra.exchange: {error}") from error


if __name__ == "__main__":
    main()
