"""Queue the faults that are pending until a connection or request arrives."""

from dataclasses import dataclass
from typing import TypeVar

from infra.replay.faults.faults import Fault

Family = TypeVar("Family", bound=Fault)


@dataclass
class Order:
    fault: Fault
    left: int | None
    """Number of connections still to affect; None means every one."""


class Waiting:
    """Pending faults. Faults of the same kind form a queue: each connection takes one."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def add(self, fault: Fault, connections: int | None) -> None:
        """Apply to the next `connections` connections; None means every one."""
        self._orders.append(Order(fault, connections))

    def take(self, family: type[Family]) -> list[Family]:
        """Take the faults of a family for one connection: the oldest of each kind."""
        taken: dict[type[Family], Family] = {}
        for order in self._orders:
            fault = order.fault
            if isinstance(fault, family) and type(fault) not in taken:
                taken[type(fault)] = fault
                if order.left is not None:
                    order.left -= 1
        self._orders = [order for order in self._orders if order.left != 0]
        return list(taken.values())

    def clear(self) -> None:
        self._orders.clear()
