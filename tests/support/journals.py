"""Fill and read journals in tests, and reproduce what a killed process leaves."""

import gzip
import json
import resource
import shutil
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from core.message import Item, encode_item
from extractors.journal.journal import Journal
from extractors.journal.reader import JournalReader, Line

RECEIVED_AT = 1_743_148_800_000_000
"""2025-03-28 08:00:00 UTC."""

LIMIT = 1_000_000_000


def item(number: int, symbol: str = "A", received_at: int = RECEIVED_AT) -> bytes:
    return encode_item({"s": symbol, "number": number, "received_at": received_at})


def items(numbers: Iterable[int], received_at: int = RECEIVED_AT) -> list[bytes]:
    return [item(number, received_at=received_at) for number in numbers]


def symbol_of(item: Item) -> str:
    return str(item["s"])


def number_of(line: Line) -> int:
    number: int = json.loads(line.text)["number"]
    return number


def line(number: int, symbol: str = "A", endpoint: str = "kucoin.com") -> Line:
    """Return the line at the position `number`, received `number` microseconds after the epoch."""
    return Line(number, endpoint, symbol, item(number, symbol, received_at=number))


@contextmanager
def journal_in(folder: Path, limit: int = LIMIT) -> Iterator[Journal]:
    """Open a journal for the block and lock it, as an extractor process does."""
    journal = Journal(folder, limit)
    try:
        with closing(journal):
            yield journal
    finally:
        journal.unlock()


def append(
    journal: Journal,
    numbers: Iterable[int],
    endpoint: str = "kucoin.com",
    received_at: int = RECEIVED_AT,
    now: float = 0.0,
) -> bool:
    """Append items. Return whether the journal accepted them."""
    return not journal.append(endpoint, items(numbers, received_at), received_at, now)


def lines_of(journal: Journal, position: int = 0) -> list[Line]:
    """Return all lines from the position on."""
    with closing(JournalReader(journal, position, symbol_of)) as reader:
        return list(rest_of(reader))


def rest_of(reader: JournalReader) -> Iterator[Line]:
    while lines := reader.read():
        yield from lines


def pack_all(folder: Path) -> None:
    """Compress all segments of an unused journal, as version 0.1.0 did with closed segments."""
    for path in folder.glob("*.jsonl"):
        pack(path)


def pack(path: Path) -> Path:
    first, endpoint = path.stem.split("-", 1)
    content = path.read_bytes()
    last = int(first) + content.count(b"\n") - 1
    packed = path.with_name(f"{first}-{last:020}-{endpoint}.jsonl.gz")
    packed.write_bytes(gzip.compress(content))
    path.unlink()
    return packed


def left_behind(folder: Path) -> Path:
    """Return a copy of the folder as the next process would find it if this one were killed now."""
    copy = next(
        path for n in count(1) if not (path := folder.with_name(f"{folder.name}-{n}")).exists()
    )
    # The process keeps replacing `delivered`: its temporary file may vanish during the copy.
    return shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("delivered.tmp"))


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let no file be opened in the block: the process has as many as its limit allows."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Standard input, output and error are open. With a limit of 0, poll() would fail in servers of the test.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def files_in(folder: Path) -> list[str]:
    """Return the names of all files in a journal's folder, except id, lock and delivered."""
    names = {path.name for path in folder.iterdir()}
    return sorted(names - {"id", "lock", "delivered"})
