"""Answer requests that a client sends to Binance on an open WebSocket.

Source: github.com/binance/binance-spot-api-docs, web-socket-streams.md.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from infra.replay.binance.frames import BUSY, combined, refusal
from infra.replay.connection import Connection, no_envelope
from infra.replay.encoding import encode_json
from infra.replay.faults.faults import RefuseSubscription
from infra.replay.source import Source
from infra.replay.streams import Subscriptions

MOST_STREAMS = 1024
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class InvalidRequest(Exception):
    """Raised with the code and the message of Binance's answer."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


class BinanceCommands:
    """Answers requests of all connections."""

    def __init__(self, source: Source, subscriptions: Subscriptions) -> None:
        self._source = source
        self._subscriptions = subscriptions

    def open(self, connection: Connection, streams: Sequence[str], *, is_combined: bool) -> None:
        """Subscribe to the streams in the URL of a connection.

        Binance ignores unknown names in the URL: ccxt connects to /ws/0.
        """
        connection.envelope = combined if is_combined else no_envelope
        served = [each for each in streams if self._source.serves(each)]
        refused = connection.opening(RefuseSubscription)
        if served and refused:
            connection.send(refusal(refused.code, BUSY))
        else:
            self._subscriptions.add(connection, served)

    def answer(self, connection: Connection, text: str) -> str:
        """Execute a request and return the answer.

        {"method":"SUBSCRIBE","params":["!miniTicker@arr"],"id":1} -> {"result":null,"id":1}
        """
        try:
            request = json.loads(text)
        except json.JSONDecodeError as wrong:
            where = f"line {wrong.lineno} column {wrong.colno}"
            return refusal(3, f"Invalid JSON: expected value at {where}")
        except (ValueError, RecursionError):
            # An integer of thousands of digits, or thousands of levels of nesting.
            return refusal(3, "Invalid JSON")
        request_id = request.get("id") if isinstance(request, dict) else None
        if not is_request_id(request_id):
            problem = "Invalid request: request ID must be an unsigned integer"
            return refusal(2, problem)
        try:
            result = self._result(connection, request)
        except InvalidRequest as wrong:
            return refusal(wrong.code, wrong.problem, request_id)
        return encode_json({"result": result, "id": request_id})

    def _result(self, connection: Connection, request: object) -> object:
        """Return the result of a request. Raise InvalidRequest if Binance would refuse it."""
        match request:
            case {"method": "SUBSCRIBE" | "UNSUBSCRIBE" as method, "params": [*names]}:
                streams = [name for name in names if isinstance(name, str)]
                if len(streams) < len(names):
                    raise InvalidRequest(2, "Invalid request: invalid stream")
                if method == "UNSUBSCRIBE":
                    self._subscriptions.discard(connection, streams)
                else:
                    self._subscribe(connection, streams)
                return None
            case {"method": "LIST_SUBSCRIPTIONS", **others}:
                if others.get("params"):
                    raise InvalidRequest(2, "Invalid request: too many parameters")
                return self._subscriptions.of(connection)
            case {"method": "SET_PROPERTY", "params": [name, value]}:
                check_property(name)
                if not isinstance(value, bool):
                    raise InvalidRequest(1, "Invalid value type: expected Boolean")
                connection.envelope = combined if value else no_envelope
                return None
            case {"method": "GET_PROPERTY", "params": [name]}:
                check_property(name)
                return connection.envelope is combined
            case {"method": method, **others}:
                raise InvalidRequest(2, f"Invalid request: {shape_problem(method, others)}")
            case _:
                raise InvalidRequest(2, "Invalid request: missing field `method`")

    def _subscribe(self, connection: Connection, streams: Sequence[str]) -> None:
        """Subscribe to all streams, or to none if there is no data for one of them."""
        if refused := connection.opening(RefuseSubscription):
            raise InvalidRequest(refused.code, BUSY)
        if not all(map(self._source.serves, streams)):
            raise InvalidRequest(2, "Invalid request: invalid stream")
        if len({*self._subscriptions.of(connection), *streams}) > MOST_STREAMS:
            raise InvalidRequest(2, f"Invalid request: more than {MOST_STREAMS} streams")
        self._subscriptions.add(connection, streams)


def is_request_id(value: object) -> bool:
    """Return whether it is a signed 64-bit integer, up to 36 letters, digits, _ and -, or null."""
    match value:
        case None:
            return True
        case bool():
            return False
        case int():
            return -(2**63) <= value < 2**63
        case str():
            return re.fullmatch(r"[A-Za-z0-9_-]{0,36}", value) is not None
        case _:
            return False


def check_property(name: object) -> None:
    """Raise InvalidRequest for a property that does not exist."""
    if not isinstance(name, str):
        raise InvalidRequest(2, "Invalid request: property name must be a string")
    if name != "combined":
        raise InvalidRequest(0, "Unknown property")


def shape_problem(method: object, others: Mapping[Any, object]) -> str:
    """Return the error message for a request with an invalid method or parameters."""
    if method not in METHODS:
        known = ", ".join(f"`{each}`" for each in METHODS)
        return f"unknown variant `{method}`, expected one of {known}"
    params = others.get("params")
    if not isinstance(params, list):
        return "missing field `params`"
    if not params:
        return "property name must be a string"
    return "too many parameters" if len(params) > 1 else "missing property value"
