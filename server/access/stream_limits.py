"""How many streams are open at most, in all and from one address."""

from collections import Counter
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from server.errors import problem

SSE_PATH = "/stream"


class StreamLimits:
    """ASGI middleware. A stream counts from its request to the end of its connection.

    One too many is answered with 429 (its address has enough) or 503 (the server has).
    """

    def __init__(self, app: ASGIApp, *, in_all: int, per_address: int) -> None:
        self._app = app
        self._in_all = in_all
        self._per_address = per_address
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["type"] == "websocket" or scope.get("path") == SSE_PATH):
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
                f"{self._per_address} streams of {address} are open, and no more are allowed",
                {"Retry-After": "10"},
            )
        if self._open.total() >= self._in_all:
            return problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"{self._in_all} streams are open, and no more are allowed",
                {"Retry-After": "10"},
            )
        return None
