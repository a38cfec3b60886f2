"""The faults that wait for a connection or a request to come."""

from dataclasses import dataclass
from typing import TypeVar

from infra.replay.faults.faults import Fault

Family = TypeVar("Family", bound=Fault)


@dataclass
class Order:
    fault: Fault
    # How many it is still for, None when for all that come.
    left: int | None


class Waiting:
    """Those of one kind are a queue: each connection takes one."""

    def __init__(self) -> None:
        self._orders: list[Order] = []

    def add(self, fault: Fault, connections: int | None) -> None:
        """For the next so many; None is for all that come."""
        self._orders.append(Order(fault, connections))

    def take(self, family: type[Family]) -> list[Family]:
        """Those of a family that one connection suffers: of each kind the oldest."""
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
