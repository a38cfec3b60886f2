"""Define the faults that can be inflicted on connections to the replay exchange."""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Base class of faults. Requests use the class's name in snake case, such as `half_frame`."""

    @classmethod
    def name(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class RequestFault(Fault):
    """Fault of a request, such as the one that opens a connection."""


class Unauthorized(RequestFault):
    """HTTP 401 at the handshake."""


@dataclass(frozen=True, kw_only=True)
class TooManyRequests(RequestFault):
    """HTTP 429 at KuCoin's bullet-public or Binance's handshake, with a retry delay of `wait` s."""

    wait: float = 1.0


@dataclass(frozen=True, kw_only=True)
class CandlesFail(RequestFault):
    """HTTP `status` in answer to a request for candles."""

    status: int = 503


@dataclass(frozen=True, kw_only=True)
class CandlesBanned(RequestFault):
    """HTTP 429 in answer to a request for candles, with a retry delay of `wait` s."""

    wait: float = 1.0


class CandlesUnknown(RequestFault):
    """A request for candles is answered as if the symbol did not exist."""


class CandlesChange(RequestFault):
    """The candles of one response have twice their volume and trades."""


class Opening(Fault):
    """Fault at the opening of a connection, before it gets data."""


class NoWelcome(Opening):
    """No welcome; commands are still answered."""


class NoAck(Opening):
    """Subscriptions are not acknowledged and yield no data."""


@dataclass(frozen=True, kw_only=True)
class RefuseWelcome(Opening):
    """An error instead of the welcome. The connection stays open."""

    code: int


@dataclass(frozen=True, kw_only=True)
class RefuseSubscription(Opening):
    """An error instead of the data. The connection stays open."""

    code: int


class Disturbance(Fault):
    """Fault of a connection with data; may be inflicted on an open one."""


class Silence(Disturbance):
    """Stop sending anything: no data, no pongs, no answer to a close."""


@dataclass(frozen=True, kw_only=True)
class Strike(Disturbance):
    """Fault that happens once: after `after_frames` more data frames, just before the next one."""

    after_frames: int = 0


class Drop(Strike):
    """End the connection without a close frame."""


class HalfFrame(Strike):
    """Send half of the next data frame, then end the connection without a close frame."""


class Close(Strike):
    """Close the connection with a close frame."""


@dataclass(frozen=True, kw_only=True)
class Shutdown(Strike):
    """Announce a shutdown, if the protocol can, and close `lead` s later. Data continues until then."""

    lead: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Error(Strike):
    """Send an error between data frames; data continues."""

    code: int


class NoData(Strike):
    """Stop the data; pings, pongs and answers continue."""


@dataclass(frozen=True, kw_only=True)
class Alteration(Disturbance):
    """Fault that alters every n-th data frame; n is `every`."""

    every: int = 10


class Reorder(Alteration):
    """Hold the frame back until after the next frame of its symbol.

    A held frame is dropped if the fault is replaced or removed.
    """


class Repeat(Alteration):
    """Send the frame twice."""


class Unreadable(Alteration):
    """Add something unreadable after the frame or inside it."""


KINDS: dict[str, type[Fault]] = {
    kind.name(): kind
    for kind in (
        *(Unauthorized, TooManyRequests, NoWelcome, NoAck, RefuseWelcome, RefuseSubscription),
        *(CandlesFail, CandlesBanned, CandlesUnknown, CandlesChange),
        *(Silence, Drop, HalfFrame, Close, Shutdown, Error, NoData, Reorder, Repeat, Unreadable),
    )
}
LEAST = {"every": 1, "after_frames": 0, "lead": 0, "wait": 0, "status": 400}
"""Minimum of each parameter; a `code` has none."""

LARGEST = {"status": 599}
"""Maximum of each parameter that has one."""


def fault_of(name: object, parameters: Mapping[str, object]) -> Fault:
    """Build a fault. Raise ValueError that names the invalid parameter and its value."""
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
    if not least <= value <= LARGEST.get(parameter, sys.float_info.max):
        up_to = f" to {LARGEST[parameter]}" if parameter in LARGEST else ""
        raise ValueError(f"{parameter}={value!r}: expected {number} from {least}{up_to}")
