"""Return errors as application/problem+json (RFC 9457).

The body names each invalid parameter with its value:

    {"type":"about:blank","title":"Unprocessable Entity","status":422,
     "detail":"exchange='kraken': Input should be 'binance' or 'kucoin'",
     "errors":[{"parameter":"exchange","value":"kraken",
                "detail":"Input should be 'binance' or 'kucoin'"}]}
"""

from collections.abc import Mapping
from http import HTTPStatus
from reprlib import repr as shortened
from typing import Any

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import (
    RequestValidationError,
    ValidationException,
    WebSocketRequestValidationError,
)
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

PROBLEM = {
    "title": "Problem",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "parameter": {"type": "string"},
                    "value": {},
                    "detail": {"type": "string"},
                },
                "required": ["parameter", "value", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}


def documented(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that may return these problems."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s.value: {"description": s.phrase, "content": content} for s in statuses}


def unavailable(detail: str) -> HTTPException:
    return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return JSONResponse(content, status, headers, media_type="application/problem+json")


def parameter_problem(error: ValidationException) -> JSONResponse:
    errors = [
        {
            # `loc` is the part of the request, the parameter's name, and its index in a list.
            "parameter": str(e["loc"][1]),
            # `input` of a missing parameter is all others.
            "value": None if e.get("type") == "missing" else e["input"],
            "detail": e["msg"],
        }
        for e in error.errors()
    ]
    detail = "; ".join(f"{e['parameter']}={shortened(e['value'])}: {e['detail']}" for e in errors)
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)


def register_problem_handlers(app: FastAPI) -> None:
    """Register handlers that turn every error of the app into a problem."""

    @app.exception_handler(RequestValidationError)
    async def bad_parameters(request: Request, error: RequestValidationError) -> JSONResponse:
        return parameter_problem(error)

    @app.exception_handler(WebSocketRequestValidationError)
    async def bad_stream(websocket: WebSocket, error: WebSocketRequestValidationError) -> None:
        await websocket.send_denial_response(parameter_problem(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, error.detail, error.headers)

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the server's log has the cause"
        )
