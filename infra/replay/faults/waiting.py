"""Queue the faults that are pending until a connection or request arrives."""

from dataclasses import dataclass
from typing import TypeVar

from infra.replay.faults.faults import Fault

Family = TypeVar("Family", bound=Fault)


@dataclass
class PendingFault:
    fault: Fault
    left: int | None
    """Number of connections or requests still to affect; None means every one."""


class Waiting:
    """Pending faults. Those of the same kind form a queue: each connection or request takes the oldest.

    One that affects every connection blocks later ones of its kind.
    """

    def __init__(self) -> None:
        self._pending: list[PendingFault] = []

    def add(self, fault: Fault, connections: int | None) -> None:
        """Keep a fault for the next `connections` connections or requests; None means every one."""
        self._pending.append(PendingFault(fault, connections))

    def take(self, family: type[Family]) -> list[Family]:
        """Take the faults of a family for one connection or request: the oldest of each kind."""
        taken: dict[type[Family], Family] = {}
        for pending in self._pending:
            fault = pending.fault
            if isinstance(fault, family) and type(fault) not in taken:
                taken[type(fault)] = fault
                if pending.left is not None:
                    pending.left -= 1
        self._pending = [pending for pending in self._pending if pending.left != 0]
        return list(taken.values())

    def clear(self) -> None:
        self._pending.clear()
