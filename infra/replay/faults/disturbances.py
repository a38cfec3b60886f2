"""Apply the faults of a connection to its data: texts in, texts and strikes out. No clock and no I/O."""

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
    """The parts of faults that differ between exchanges."""

    exchange: str
    """Name of the exchange."""

    lacks: frozenset[type[Fault]]
    """Faults that do not exist in its protocol."""

    error: Callable[[int], str]
    """Builds the frame of an error with this code."""

    announcement: Callable[[], tuple[str, str] | None]
    """Builds the stream name and the text that announce a shutdown; None if the protocol has none."""

    order_key: Callable[[str], str]
    """Ordering key of a data frame. Frames with the same key are ordered."""

    spoilt: Sequence[Callable[[str, int], list[str]]]
    """Ways to add something unreadable after a frame or inside it. Each takes a valid frame and a number
    that identifies the addition, and returns the texts to send instead of the frame."""


Step = Callable[[str], list[str]]


class Disturbances:
    """Faults of one connection. `is_silent`: the connection no longer sends anything."""

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
        """Yield (None, text) for a text to send, and (strike, text) for a strike to apply before it."""
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
        # Unreadable texts have no ordering key, so that step comes last.
        for kind in (Reorder, Repeat, Unreadable):
            if step := self._steps.get(kind):
                texts = [after for before in texts for after in step(before)]
        return texts


def reorder(every: int, key: Callable[[str], str]) -> Step:
    """Return a step that holds back each n-th text until after the next text with its key."""
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
    """Return a step that adds something unreadable to each n-th text, using the ways in turn."""
    numbers = count(1)

    def step(text: str) -> list[str]:
        turn, rest = divmod(next(numbers), every)
        return [text] if rest else ways[(turn - 1) % len(ways)](text, turn)

    return step
