"""Run the replay exchange until SIGTERM or SIGINT: python -m infra.replay."""

import asyncio
import logging
import signal
from argparse import (
    SUPPRESS,
    ArgumentDefaultsHelpFormatter,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
)
from dataclasses import fields
from typing import Any

from core import setting_checks
from core.settings import EXCHANGE, SettingError, Settings
from infra.replay.faults.limits import (
    BINANCE_QUOTAS,
    KUCOIN_QUOTAS,
    BinanceLimits,
    KucoinLimits,
    Limits,
)
from infra.replay.recording.landing import landing_at
from infra.replay.recording.recording import Recording
from infra.replay.server import Simulation, serving

log = logging.getLogger("infra.replay")

LIMITS: dict[str, type[Limits]] = {"binance": BinanceLimits, "kucoin": KucoinLimits}


def arguments() -> tuple[Namespace, Settings]:
    parser = ArgumentParser(
        prog="python -m infra.replay",
        description="A local server that speaks the public protocols of Binance and KuCoin.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    try:
        settings = Settings.from_environment(EXCHANGE)
    except SettingError as error:
        parser.error(str(error))
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="the address to listen on")
    option("--port", type=port, default=settings.exchange_port, help="0 selects a free port")
    add_simulation(parser, settings)
    add_recording(parser)
    add_limits(parser)
    given = parser.parse_args()
    if "speed" in given and "recording" not in given:
        parser.error("--speed requires --recording")
    return given, settings


def port(value: str) -> int:
    try:
        return 0 if value == "0" else setting_checks.port(value)
    except ValueError as error:
        raise ArgumentTypeError(f"{value}: {error}, or 0 for a free port") from error


def add_simulation(parser: ArgumentParser, settings: Settings) -> None:
    simulation = Simulation()
    option = parser.add_argument_group("simulation").add_argument
    option("--seed", type=int, default=simulation.seed, help="the same seed yields the same prices")
    option(
        "--binance-symbols",
        type=int,
        default=simulation.binance_symbols,
        help="number of symbols that trade",
    )
    option(
        "--binance-changed",
        type=float,
        default=simulation.binance_changed,
        metavar="SHARE",
        help="share of symbols that change in a second, above 0, at most 1",
    )
    option(
        "--kucoin-rate",
        type=float,
        default=settings.exchange_kucoin_rate,
        metavar="FRAMES",
        help="KuCoin frames per second; above 6,340 a symbol gets more than one per 100 ms",
    )


def add_recording(parser: ArgumentParser) -> None:
    option = parser.add_argument_group("recording, in place of the simulation").add_argument
    option(
        "--recording",
        default=SUPPRESS,
        metavar="LANDING",
        help="the folder or s3://bucket/prefix that contains binance/ and kucoin/",
    )
    option("--speed", type=float, default=SUPPRESS, help="multiple of real time (default: 1)")


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
        help="a KuCoin token opens one connection only",
    )


def limits_of(exchange: str, given: Namespace) -> dict[str, Any]:
    options = vars(given)
    names = [each.name for each in fields(LIMITS[exchange]) if each.name != "quotas"]
    return {name: options[f"{exchange}_{name}"] for name in names}


def market_of(given: Namespace, settings: Settings) -> Simulation | Recording:
    """Return the market that the options describe. Raise ValueError for an invalid option."""
    binance = BinanceLimits(**limits_of("binance", given), quotas=BINANCE_QUOTAS)
    kucoin = KucoinLimits(**limits_of("kucoin", given), quotas=KUCOIN_QUOTAS)
    if "recording" in given:
        return Recording(
            landing=landing_at(given.recording, settings),
            speed=getattr(given, "speed", Recording.speed),
            binance=binance,
            kucoin=kucoin,
        )
    return Simulation(
        seed=given.seed,
        binance_symbols=given.binance_symbols,
        binance_changed=given.binance_changed,
        kucoin_rate=given.kucoin_rate,
        binance=binance,
        kucoin=kucoin,
    )


async def serve(market: Simulation | Recording, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(*market.exchanges(), host, port) as bound_port:
        log.info("serving on http://%s:%d: %s", host, bound_port, market)
        await stop.wait()
    log.info("stopped")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given, settings = arguments()
    reason = ""
    try:
        asyncio.run(serve(market_of(given, settings), given.host, given.port))
    except* (ValueError, OSError) as failed:
        reason = "; ".join(map(str, failed.exceptions))
    if reason:
        raise SystemExit(f"infra.replay: {reason}")


if __name__ == "__main__":
    main()
