"""List the faults from which tests choose at random, and inflict one on the replay exchange."""

from infra.replay.faults.faults import (
    Close,
    Disturbance,
    Drop,
    Error,
    Fault,
    HalfFrame,
    NoAck,
    NoData,
    NoWelcome,
    RefuseSubscription,
    RefuseWelcome,
    Reorder,
    Repeat,
    Shutdown,
    Silence,
    TooManyRequests,
    Unauthorized,
    Unreadable,
)
from tests.support.replay_exchange import inflict

OF_BOTH: list[Fault] = [
    *(Drop(after_frames=1), HalfFrame(after_frames=1), Close(), Silence(), NoData()),
    *(Shutdown(lead=2.0), Unauthorized(), TooManyRequests(wait=1.0), Error(code=2)),
    *(Reorder(every=5), Repeat(every=5), Unreadable(every=5), RefuseSubscription(code=500)),
]
OF_KUCOIN: list[Fault] = [
    *(NoWelcome(), NoAck(), RefuseWelcome(code=401), Error(code=401), Error(code=509)),
]


def faults_of(exchange: str) -> list[Fault]:
    """Return the faults of connections that the exchange's protocol has."""
    return OF_BOTH + (OF_KUCOIN if exchange == "kucoin" else [])


def strike(address: str, exchange: str, fault: Fault) -> None:
    """Inflict a fault, and provoke its effect.

    A disturbance is inflicted on the open connections. Any other fault is inflicted on the next connection,
    and the open ones are broken so that one follows.
    """
    if isinstance(fault, Disturbance):
        inflict(address, exchange, fault, "open")
    else:
        inflict(address, exchange, fault, 1)
        inflict(address, exchange, Drop(), "open")
