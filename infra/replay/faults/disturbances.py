"""What the faults of a connection do to its data. Pure: texts in, texts and strikes out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from infra.replay.faults.faults import (
    Alteration,
    Disturbance,
    Fault,
    NoData,
    Reorder,
    Repeat,
    Silence,
    Strike,
    Unreadable,
)


@dataclass(frozen=True)
class Dialect:
    """What of the faults is an exchange's own."""

    exchange: str
    """Its name."""

    lacks: frozenset[type[Fault]]
    """The faults that its protocol has no place for."""

    error: Callable[[int], str]
    """The frame that tells of an error with this code."""

    announcement: Callable[[], tuple[str, str] | None]
    """The stream and the text that announce a shutdown."""

    order_key: Callable[[str], str]
    """Of a data frame. Those with the same key have an order."""

    spoilt: Sequence[Callable[[str, int], list[str]]]
    """What an unreadable frame looks like: from a good one, and a number to know it by, the texts
    that are sent in place of the good one."""


Step = Callable[[str], list[str]]


class Disturbances:
    """`is_silent`: the connection says nothing at all any more."""

    def __init__(self, dialect: Dialect) -> None:
        self.is_silent = False
        self._dialect = dialect
        self._has_data = True
        self._passed = 0
        self._strikes: list[tuple[int, Strike]] = []
        self._steps: dict[type[Alteration], Step] = {}

    def add(self, fault: Disturbance) -> None:
        match fault:
            case Silence():
                self.is_silent = True
            case Strike():
                self._strikes.append((self._passed + fault.after_frames, fault))
            case Reorder():
                self._steps[Reorder] = reorder(fault.every, self._dialect.order_key)
            case Repeat():
                self._steps[Repeat] = repeat(fault.every)
            case Unreadable():
                self._steps[Unreadable] = spoil(fault.every, self._dialect.spoilt)

    def pass_on(self, text: str) -> Iterator[tuple[Strike | None, str]]:
        """What becomes of a data frame: (None, text) is to be sent, and (strike, text) strikes in
        front of that text.
        """
        for each in self._altered(text):
            for strike in self._due():
                if isinstance(strike, NoData):
                    self._has_data = False
                else:
                    yield strike, each
            if self._has_data:
                self._passed += 1
                yield None, each

    def _due(self) -> list[Strike]:
        due = [strike for at, strike in self._strikes if at <= self._passed]
        self._strikes = [(at, strike) for at, strike in self._strikes if at > self._passed]
        return due

    def _altered(self, text: str) -> list[str]:
        texts = [text]
        # What is unreadable has no key, so it comes last.
        for kind in (Reorder, Repeat, Unreadable):
            if step := self._steps.get(kind):
                texts = [after for before in texts for after in step(before)]
        return texts


def reorder(every: int, key: Callable[[str], str]) -> Step:
    """Each n-th is held back until the next with its key has gone."""
    numbers = count(1)
    held: dict[str, str] = {}

    def step(text: str) -> list[str]:
        number = next(numbers)
        if (overtaken := held.pop(key(text), None)) is not None:
            return [text, overtaken]
        if number % every == 0:
            held[key(text)] = text
            return []
        return [text]

    return step


def repeat(every: int) -> Step:
    numbers = count(1)
    return lambda text: [text] if next(numbers) % every else [text, text]


def spoil(every: int, ways: Sequence[Callable[[str, int], list[str]]]) -> Step:
    """The ways take turns."""
    numbers = count(1)

    def step(text: str) -> list[str]:
        turn, rest = divmod(next(numbers), every)
        return [text] if rest else ways[(turn - 1) % len(ways)](text, turn)

    return step
