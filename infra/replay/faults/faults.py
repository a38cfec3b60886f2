"""The faults that a connection to the replay exchange can be made to suffer."""

import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Its name on the wire is that of its class: `HalfFrame` is `half_frame`."""

    @classmethod
    def name(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class Refusal(Fault):
    """Of a request, before there is a connection."""


class Unauthorized(Refusal):
    """HTTP 401 at the handshake."""


@dataclass(frozen=True, kw_only=True)
class TooManyRequests(Refusal):
    """HTTP 429: KuCoin's bullet-public, Binance's handshake. `wait` is what it asks for, seconds."""

    wait: float = 1.0


class Opening(Fault):
    """Of a connection that gets no data."""


class NoWelcome(Opening):
    """Commands are answered all the same."""


class NoAck(Opening):
    """A subscription is not answered and brings no data."""


@dataclass(frozen=True, kw_only=True)
class RefuseWelcome(Opening):
    """An error in place of the welcome. The connection stays open."""

    code: int


@dataclass(frozen=True, kw_only=True)
class RefuseSubscription(Opening):
    """An error in place of the data. The connection stays open."""

    code: int


class Disturbance(Fault):
    """Of a connection, and also of one that has been open for long."""


class Silence(Disturbance):
    """Nothing at all any more: no data, no pongs, no answer to a close."""


@dataclass(frozen=True, kw_only=True)
class Strike(Disturbance):
    """Comes once, in front of the data frame that follows on so many."""

    after_frames: int = 0


class Drop(Strike):
    """The end without a close frame."""


class HalfFrame(Strike):
    """Half of the next data frame, and the end without a close frame."""


class Close(Strike):
    """An orderly close."""


@dataclass(frozen=True, kw_only=True)
class Shutdown(Strike):
    """Announced, if the exchange does so; `lead` seconds later, with data between, a close."""

    lead: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Error(Strike):
    """An error between the data, which goes on."""

    code: int


class NoData(Strike):
    """The end of the data; pings, pongs and answers go on."""


@dataclass(frozen=True, kw_only=True)
class Alteration(Disturbance):
    """Of each n-th data frame."""

    every: int = 10


class Reorder(Alteration):
    """It comes behind the next of its symbol."""


class Repeat(Alteration):
    """It comes twice."""


class Unreadable(Alteration):
    """Something unreadable comes behind it, or in it."""


KINDS: dict[str, type[Fault]] = {
    kind.name(): kind
    for kind in (
        *(Unauthorized, TooManyRequests, NoWelcome, NoAck, RefuseWelcome, RefuseSubscription),
        *(Silence, Drop, HalfFrame, Close, Shutdown, Error, NoData, Reorder, Repeat, Unreadable),
    )
}
LEAST = {"every": 1, "after_frames": 0, "lead": 0, "wait": 0}


def fault_of(name: object, parameters: Mapping[str, object]) -> Fault:
    """Raise ValueError that names the parameter and its value."""
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ValueError(f"fault={name!r}: expected one of {', '.join(KINDS)}")
    known = {field.name: field for field in fields(kind)}
    for parameter, value in parameters.items():
        if parameter not in known:
            raise ValueError(f"{parameter}={value!r}: {name} has no such parameter")
        check_number(parameter, value, whole=known[parameter].type is int)
    for parameter, field in known.items():
        if field.default is MISSING and parameter not in parameters:
            raise ValueError(f"{parameter} is missing: {name} needs it")
    arguments: dict[str, Any] = dict(parameters)
    return kind(**arguments)


def check_number(parameter: str, value: object, *, whole: bool) -> None:
    number = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ValueError(f"{parameter}={value!r}: expected {number}")
    least = LEAST.get(parameter, -math.inf)
    if not least <= value < math.inf:
        raise ValueError(f"{parameter}={value!r}: expected {number} from {least}")
