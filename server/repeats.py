"""Refuse a repeated query parameter that takes one value. FastAPI alone would use the last one."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from inspect import isclass
from typing import Any, get_origin

from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.routing import APIRoute, APIWebSocketRoute
from pydantic import BaseModel
from starlette.requests import HTTPConnection


def refuse_repeats(connection: HTTPConnection) -> None:
    """Raise a validation error that names each repeated parameter and its values.

    Use it as a dependency of all routes.
    """
    values = defaultdict(list)
    for name, value in connection.query_params.multi_items():
        values[name].append(value)
    repeatable = set(_repeatable(connection.scope["route"]))
    errors = [
        {
            "loc": ("query", name),
            "input": given,
            "msg": f"occurs {len(given)} times, but takes one value",
        }
        for name, given in values.items()
        if len(given) > 1 and name not in repeatable
    ]
    if errors and connection.scope["type"] == "websocket":
        raise WebSocketRequestValidationError(errors)
    if errors:
        raise RequestValidationError(errors)


def _repeatable(route: APIRoute | APIWebSocketRoute) -> Iterator[str]:
    """Yield the names of the route's parameters that take several values."""
    for parameter in route.dependant.query_params:
        model: Any = parameter.field_info.annotation
        if isclass(model) and issubclass(model, BaseModel):
            for name, field in model.model_fields.items():
                if get_origin(field.annotation) is Sequence:
                    yield field.alias or name
