"""Test a journal over many processes that end in any way: each item left is read once and in order."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extractors.journal.reader import JournalReader, Line
from extractors.to_kafka.batcher import Batch, Batcher
from tests.support.journals import (
    RECEIVED_AT,
    item,
    journal_in,
    left_behind,
    lines_of,
    number_of,
    pack,
    symbol_of,
)

pytestmark = [pytest.mark.independent, pytest.mark.long]


@dataclass(frozen=True)
class Append:
    count: int
    endpoint: str
    pause: float
    """Seconds before the write."""


@dataclass(frozen=True)
class Upgrade:
    """Upgrade from version 0.1.0, which has packed the closed segments before it crashed.

    If it was cut short, the last of them has both a plain and a packed file.
    """

    is_cut_short: bool


@dataclass(frozen=True)
class Kill:
    """kill -9, possibly in the middle of a line."""

    torn: bytes


@dataclass(frozen=True)
class PowerFailure:
    """Power failure that leaves a share of the last plain file."""

    share: float


@dataclass(frozen=True)
class Terminate:
    """Orderly end: the journal is closed first."""


Step = Append | Upgrade | Kill | PowerFailure | Terminate

TORN = st.sampled_from([b"", b"{", item(999), item(999)[:-1], bytes(50)])
APPENDS = st.builds(
    Append, st.integers(1, 5), st.sampled_from(["one", "two"]), st.sampled_from([0, 61, 1801])
)
CRASHES = st.one_of(
    st.builds(Kill, TORN),
    st.builds(PowerFailure, st.floats(0.0, 1.0)),
    st.builds(Terminate),
)
STEPS = st.lists(
    st.one_of(APPENDS, APPENDS, st.builds(Upgrade, st.booleans()), CRASHES), max_size=25
)


class Processes:
    """Successive processes on one journal, and the items that it must have: {number: position}."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: dict[int, int] = {}
        self.given: list[tuple[str, int]] = []
        """Journal id and position of every item, including lost ones."""
        self._appended = 0
        self._now = 0.0

    def run(self, steps: list[Step]) -> None:
        """Run all steps, and then start one more process."""
        while steps:
            steps = self._run_process(steps)
        self._run_process([])

    def _run_process(self, steps: list[Step]) -> list[Step]:
        """Run one process up to the first step that ends it. Return the remaining steps."""
        with journal_in(self.folder) as journal:
            assert positions(lines_of(journal)) == self.kept
            for index, step in enumerate(steps):
                match step:
                    case Append():
                        self._now += step.pause
                        journal.close_if_due(self._now)
                        numbers = range(self._appended, self._appended + step.count)
                        self._appended += step.count
                        before = max(self.kept.values(), default=-1)
                        at = RECEIVED_AT + int(self._now * 1_000_000)
                        items = [item(number, "AB"[number % 2], at) for number in numbers]
                        assert not journal.append(step.endpoint, items, at, self._now)
                        fresh = positions(lines_of(journal, before + 1))
                        assert list(fresh) == list(numbers)
                        assert all(before < position for position in fresh.values())
                        self.given += [(journal.id, position) for position in fresh.values()]
                        self.kept |= fresh
                    case Upgrade():
                        closed = [each.path.name for each in journal.closed_segments()]
                        self.folder = left_behind(self.folder)
                        self._pack(closed, step.is_cut_short)
                        return steps[index + 1 :]
                    case Kill():
                        self.folder = left_behind(self.folder)
                        if plain_files := sorted(self.folder.glob("*.jsonl")):
                            with plain_files[-1].open("ab") as file:
                                file.write(step.torn)
                            shutil.copy(plain_files[-1], plain_files[-1].with_suffix(".tmp"))
                        return steps[index + 1 :]
                    case PowerFailure():
                        self.folder = left_behind(self.folder)
                        self._lose(step.share)
                        return steps[index + 1 :]
                    case Terminate():
                        break
            else:
                index = len(steps)
        return steps[index + 1 :]

    def _pack(self, closed: list[str], is_cut_short: bool) -> None:
        plain_files = [self.folder / name for name in closed if name.endswith(".jsonl")]
        for path in plain_files:
            content = path.read_bytes()
            pack(path)
            if is_cut_short and path == plain_files[-1]:
                path.write_bytes(content)

    def _lose(self, share: float) -> None:
        plain_files = sorted(self.folder.glob("*.jsonl"))
        if not plain_files:
            return
        last = plain_files[-1]
        content = last.read_bytes()
        left = content[: int(len(content) * share)]
        last.write_bytes(left)
        if any(self.folder.glob(f"{last.name[:20]}-*.gz")):
            return
        end = int(last.name[:20]) + left.count(b"\n")
        self.kept = {number: p for number, p in self.kept.items() if p < end}


def positions(lines: list[Line]) -> dict[int, int]:
    """Return positions by number. Assert that both are unique, and that the positions rise."""
    found = [each.position for each in lines]
    assert found == sorted(set(found))
    by_number = {number_of(each): each.position for each in lines}
    assert len(by_number) == len(lines)
    return by_number


@given(STEPS)
def test_what_was_not_lost_stays_in_order_at_its_position_whatever_ends_a_process(
    steps: list[Step],
) -> None:
    with TemporaryDirectory() as folder:
        Processes(Path(folder) / "j").run(steps)


APPEND = Append(1, "one", 0)


@given(STEPS)
@example([APPEND, Terminate(), APPEND, Terminate(), APPEND, PowerFailure(0.0), APPEND])
def test_no_two_items_ever_have_the_same_position(steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        processes = Processes(Path(folder) / "j")
        processes.run(steps)
        assert len(set(processes.given)) == len(processes.given)


@given(STEPS, st.integers(0, 30), st.integers(1, 100))
def test_batches_have_what_is_left_once_and_in_the_order_of_each_symbol(
    steps: list[Step], skipped: int, fiftieths: int
) -> None:
    with TemporaryDirectory() as folder:
        processes = Processes(Path(folder) / "j")
        processes.run(steps)
        wanted = sorted(processes.kept.values())[skipped:]
        batcher = Batcher(1.0)
        batches: list[Batch] = []
        with (
            journal_in(processes.folder) as journal,
            closing(JournalReader(journal, wanted[0] if wanted else 0, symbol_of)) as reader,
        ):
            now = 0.0
            while wanted and (lines := reader.read()):
                now += fiftieths / 50
                batches += batcher.add(lines, now)
        batches += batcher.flush()
        lines = [line for batch in batches for line in batch.lines]
        assert [line.position for line in lines] == wanted
        for symbol in ("A", "B"):
            numbers = [number_of(line) for line in lines if line.symbol == symbol]
            assert numbers == sorted(set(numbers))
        for batch in batches:
            assert {line.endpoint for line in batch.lines} == {batch.endpoint}
