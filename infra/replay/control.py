"""Serve the control API, through which tests and operators inflict faults on an exchange's connections.

POST   /control/kucoin {"fault":"drop","after_frames":100,"connections":1}
DELETE /control/kucoin
"""

import json
import logging
from collections.abc import Mapping

from aiohttp import web

from infra.replay.connections import Connections, Reach
from infra.replay.faults.faults import Fault, fault_of

log = logging.getLogger(__name__)


def control_routes(exchanges: Mapping[str, Connections]) -> list[web.RouteDef]:
    def connections_of(request: web.Request) -> Connections:
        try:
            return exchanges[request.match_info["exchange"]]
        except KeyError as error:
            raise web.HTTPNotFound(text=f"exchange={error}: expected {list(exchanges)}") from error

    async def inflict(request: web.Request) -> web.Response:
        connections = connections_of(request)
        try:
            fault, reach = request_of(await request.text())
            connections.inflict(fault, reach)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        exchange = request.match_info["exchange"]
        log.info("fault inflicted exchange=%s fault=%s connections=%s", exchange, fault, reach)
        return web.Response(status=204)

    async def clear(request: web.Request) -> web.Response:
        connections_of(request).clear()
        log.info("faults cleared exchange=%s", request.match_info["exchange"])
        return web.Response(status=204)

    path = "/control/{exchange}"
    return [web.post(path, inflict), web.delete(path, clear)]


def request_of(text: str) -> tuple[Fault, Reach]:
    """Return the fault and its connections from a request's body.

    Raise ValueError that names the invalid parameter and its value.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{text!r}: expected JSON, {error}") from error
    if not isinstance(body, dict):
        raise ValueError(f"{text!r}: expected an object")
    reach = reach_of(body.pop("connections", 1))
    return fault_of(body.pop("fault", None), body), reach


def reach_of(value: object) -> Reach:
    if value == "every" or value == "open":
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise ValueError(f'connections={value!r}: expected a number from 1, "every" or "open"')
