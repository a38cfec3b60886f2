"""Limit the number of open streams, in total and per address."""

from collections import Counter
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import problem

EVENTS_PATH = "/stream"


class StreamLimits:
    """ASGI middleware. A stream counts from its request to the end of its connection.

    Beyond the limit the answer is 429 (limit per address) or 503 (limit in total).
    """

    def __init__(self, app: ASGIApp, *, total: int, per_address: int) -> None:
        self._app = app
        self._total = total
        self._per_address = per_address
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["type"] == "websocket" or scope.get("path") == EVENTS_PATH):
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope["client"] else ""
        refusal = self._refusal(address)
        if refusal:
            await refusal(scope, receive, send)
            return
        self._open[address] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _refusal(self, address: str) -> Response | None:
        if self._open[address] >= self._per_address:
            return problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{address} has {self._per_address} open streams, which is the limit per address",
                {"Retry-After": "10"},
            )
        if self._open.total() >= self._total:
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the server has {self._total} open streams, which is the limit",
                {"Retry-After": "10"},
            )
        return None
