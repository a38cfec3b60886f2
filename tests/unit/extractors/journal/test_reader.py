"""Test reading a journal that grows, shrinks and has gaps: each item is read once and in order."""

import gzip
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.message import unreadable_item
from exchanges.binance import BINANCE
from extractors.journal import journal as journal_module
from extractors.journal import reader as journal_reader_module
from extractors.journal.journal import Journal
from extractors.journal.reader import JournalReader
from tests.support.journals import (
    RECEIVED_AT,
    append,
    files_in,
    item,
    journal_in,
    left_behind,
    lines_of,
    no_more_descriptors,
    number_of,
    pack_all,
    rest_of,
    symbol_of,
)
from tests.support.waiting import DEADLINE, wait_for


def numbers(journal: Journal, position: int = 0) -> list[int]:
    return [number_of(line) for line in lines_of(journal, position)]


def next_numbers(reader: JournalReader) -> list[int]:
    return [number_of(line) for line in reader.read()]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with journal_in(tmp_path / "j") as journal:
        yield journal


def test_nothing_is_read_from_a_journal_without_items(journal: Journal) -> None:
    with closing(JournalReader(journal, 0, symbol_of)) as reader:
        assert reader.read() == []
        assert reader.position == 0


def test_reader_follows_what_is_appended(journal: Journal) -> None:
    with closing(JournalReader(journal, 0, symbol_of)) as reader:
        for numbers in ([1, 2], [3], [4, 5, 6]):
            append(journal, numbers)
            assert next_numbers(reader) == numbers
            assert reader.read() == []
        assert reader.position == 6


def test_reader_follows_from_segment_to_segment(journal: Journal) -> None:
    with closing(JournalReader(journal, 0, symbol_of)) as reader:
        append(journal, [1], endpoint="one")
        append(journal, [2], endpoint="two")
        assert [next_numbers(reader) for _ in range(3)] == [[1], [2], []]
        append(journal, [3], endpoint="one")
        assert next_numbers(reader) == [3]


@contextmanager
def packed_in(folder: Path) -> Iterator[Journal]:
    """Open a copy of the folder's journal with its segments packed, as by version 0.1.0."""
    copy = left_behind(folder)
    pack_all(copy)
    assert not list(copy.glob("*.jsonl"))
    with journal_in(copy) as journal:
        yield journal


@pytest.mark.parametrize("position", range(8))
def test_reading_begins_at_any_position(journal: Journal, position: int) -> None:
    append(journal, range(3), endpoint="one")
    append(journal, range(3, 6), endpoint="two")
    append(journal, [6], endpoint="one")
    assert numbers(journal, position) == list(range(position, 7))
    with packed_in(journal.folder) as packed:
        assert numbers(packed, position) == list(range(position, 7))


def test_reading_goes_on_after_what_was_deleted(journal: Journal) -> None:
    for number, endpoint in enumerate(["one", "two", "three"]):
        append(journal, [number], endpoint=endpoint)
    journal.delete(journal.segments()[0])
    assert [each.position for each in lines_of(journal)] == [1, 2]


def test_symbol_that_is_no_ascii_comes_back(journal: Journal) -> None:
    symbols = ["币安人生USDT", "\ud800", ""]
    journal.append("one", [item(1, symbol) for symbol in symbols], RECEIVED_AT, 0.0)
    lines = lines_of(journal)
    assert [each.symbol for each in lines] == symbols
    assert [each.text for each in lines] == [item(1, symbol) for symbol in symbols]


def test_item_comes_back_to_the_letter(journal: Journal) -> None:
    texts = [
        b'{ "s":"A" , "s":"A","c":0.10,"d":1E5,"received_at":"own","received_at":5}',
        rb'{"s":"\u5e01\ud800","x":"a\nb","received_at":5}',
        '{"s":"A","x":"\x85\u2028","received_at":5}'.encode(),
        b'{"s":"A","x":%s1%s,"received_at":5}' % (b"[" * 500, b"]" * 500),
    ]
    journal.append("one", texts, RECEIVED_AT, 0.0)
    assert [each.text for each in lines_of(journal)] == texts
    with packed_in(journal.folder) as packed:
        assert [each.text for each in lines_of(packed)] == texts


@pytest.mark.parametrize("position", range(4))
def test_item_that_is_larger_than_a_chunk_is_an_item_like_others(
    journal: Journal, position: int
) -> None:
    large = b'{"s":"A","number":1,"x":"%s","received_at":5}' % (b"x" * 2_500_000)
    journal.append("one", [item(0), large, item(2), item(3)], RECEIVED_AT, 0.0)
    assert numbers(journal, position) == list(range(position, 4))
    journal.close()
    assert numbers(journal, position) == list(range(position, 4))
    with packed_in(journal.folder) as packed:
        assert numbers(packed, position) == list(range(position, 4))


@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=20),
    chunk=st.integers(60, 500),
    position=st.integers(0, 50),
)
def test_where_a_chunk_ends_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory,
    counts: list[int],
    chunk: int,
    position: int,
) -> None:
    folder = tmp_path_factory.mktemp("j")
    with pytest.MonkeyPatch.context() as patch, journal_in(folder) as journal:
        patch.setattr(journal_reader_module, "CHUNK", chunk)
        number = 0
        with closing(JournalReader(journal, position, symbol_of)) as reader:
            followed: list[int] = []
            for count in counts:
                append(journal, range(number, number + count), endpoint=f"{number % 3}")
                number += count
                followed += [number_of(line) for line in rest_of(reader)]
            assert followed == list(range(position, number))
        assert numbers(journal, position) == list(range(position, number))
        with packed_in(folder) as packed:
            assert numbers(packed, position) == list(range(position, number))


def corrupt(name: str, content: bytes, folder: Path, caplog: pytest.LogCaptureFixture) -> list[int]:
    """Return the numbers that are read when the second of three segments has this content."""
    with journal_in(folder) as journal:
        for number, endpoint in enumerate(["one", "kucoin.com", "two"]):
            append(journal, range(3 * number, 3 * number + 3), endpoint=endpoint)
        journal.close()
    left = left_behind(folder)
    pack_all(left)
    next(left.glob("*-kucoin.com.jsonl.gz")).unlink()
    (left / name).write_bytes(content)
    with journal_in(left) as journal:
        numbers = [number_of(line) for line in lines_of(journal)]
        assert [each.endpoint for each in journal.segments()] == ["one", "two"]
        assert journal.size == sum(path.stat().st_size for path in left.glob("*.jsonl.gz"))
    assert f"{name}.corrupt" in files_in(left)
    assert (left / f"{name}.corrupt").read_bytes() == content
    (record,) = (each for each in caplog.records if each.levelno == logging.ERROR)
    assert f"{name}.corrupt" in record.getMessage()
    return numbers


THREE = [item(number) + b"\n" for number in (3, 4, 5)]
PACKED = "00000000000000000003-00000000000000000005-kucoin.com.jsonl.gz"
PLAIN = "00000000000000000003-kucoin.com.jsonl"


WHOLE = gzip.compress(b"".join(THREE))


def packed(middle: bytes) -> bytes:
    """Return the segment, packed, with other bytes instead of the second line."""
    return gzip.compress(THREE[0] + middle + THREE[2])


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WHOLE[:-9], id="truncated"),
        pytest.param(WHOLE[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(WHOLE[:40] + bytes(20) + WHOLE[60:], id="hole"),
        pytest.param(WHOLE[:-20] + bytes(20), id="tail of NULs"),
        pytest.param(packed(b"no JSON\n"), id="no JSON"),
        pytest.param(packed(b"5\n"), id="no object"),
        pytest.param(packed(b"{}\n"), id="no item"),
        pytest.param(packed(bytes(100)), id="NULs"),
    ],
)
def test_corrupt_packed_segment_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    assert corrupt(PACKED, content, tmp_path / "j", caplog) == [0, 1, 2, 6, 7, 8]


def test_packed_segment_without_its_last_lines_is_set_aside_once_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = gzip.compress(b"".join(THREE[:2]))
    assert corrupt(PACKED, content, tmp_path / "j", caplog) == [0, 1, 2, 3, 4, 6, 7, 8]


@pytest.mark.parametrize("spoilt", [b"no JSON\n", b"\n", b"5\n", b"null\n", b"{}\n", b"\0\0\n"])
def test_corrupt_line_amid_a_plain_segment_sets_it_aside_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: bytes
) -> None:
    content = THREE[0] + spoilt + THREE[2]
    assert corrupt(PLAIN, content, tmp_path / "j", caplog) == [0, 1, 2, 6, 7, 8]


@pytest.mark.parametrize(
    "spoilt", [b"7", b"{}", b'{"s":"BTCUSDT"}', b'{"s":"BTCUSDT","received_at":"now"}']
)
def test_line_of_a_real_feed_that_is_no_item_sets_its_segment_aside(
    tmp_path: Path, spoilt: bytes
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1, 2, 3])
    (path,) = tmp_path.glob("j/*.jsonl")
    first, _, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + spoilt + b"\n" + last)
    with (
        journal_in(tmp_path / "j") as journal,
        closing(JournalReader(journal, 0, BINANCE.symbol_of)) as reader,
    ):
        assert reader.read() == []
    assert files_in(tmp_path / "j") == [f"{path.name}.corrupt"]


def test_reader_continues_after_the_segment_that_it_has_read_is_deleted(journal: Journal) -> None:
    append(journal, [1], endpoint="one")
    append(journal, [2], endpoint="two")
    with closing(JournalReader(journal, 0, symbol_of)) as reader:
        assert next_numbers(reader) == [1]
        journal.delete(journal.segments()[0])
        assert next_numbers(reader) == [2]


def test_a_segment_is_read_later_if_there_is_no_descriptor_to_open_it_with(
    journal: Journal,
) -> None:
    append(journal, range(3))
    with closing(JournalReader(journal, 1, symbol_of)) as reader:
        with no_more_descriptors(), pytest.raises(OSError, match="Too many open files"):
            reader.read()
        assert [number_of(line) for line in reader.read()] == [1, 2]
    assert len(journal.segments()) == 1


def test_unreadable_item_of_a_real_feed_has_no_symbol(journal: Journal) -> None:
    texts = [unreadable_item('{"s":"BTC', RECEIVED_AT), b'{"s":"BTCUSDT","received_at":5}']
    journal.append("one", texts, RECEIVED_AT, 0.0)
    with closing(JournalReader(journal, 0, BINANCE.symbol_of)) as reader:
        assert [(each.symbol, each.text) for each in reader.read()] == [
            ("", texts[0]),
            ("BTCUSDT", texts[1]),
        ]


def test_reader_has_all_while_other_threads_append_compress_and_delete(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 2_000)
    count = 6_000
    done = Event()
    reader = JournalReader(journal, 0, symbol_of)

    def write() -> None:
        for number in range(0, count, 3):
            append(journal, range(number, number + 3))
        journal.close()

    compressed: list[bytes] = []

    def compress_and_delete() -> None:
        while not done.is_set():
            for segment in journal.closed_segments():
                compressed.append(segment.compressed())
                if segment.end <= reader.position:
                    journal.delete(segment)

    threads = [Thread(target=write), Thread(target=compress_and_delete)]
    for thread in threads:
        thread.start()
    read: list[int] = []

    def read_more() -> int:
        read.extend(next_numbers(reader))
        return len(read)

    try:
        wait_for(read_more, lambda length: length >= count, pause=0.001)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    reader.close()
    assert read == list(range(count))
    left = journal.segments()
    compressed += [segment.compressed() for segment in left]
    in_segments = {line for each in compressed for line in gzip.decompress(each).splitlines()}
    assert in_segments == {item(number) for number in range(count)}
    assert journal.size == sum(segment.path.stat().st_size for segment in left)
    assert files_in(journal.folder) == [segment.path.name for segment in left]


def waiting(journal: Journal, position: int) -> Thread:
    thread = Thread(target=journal.wait_for_items, args=(position, 10 * DEADLINE))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    return thread


def test_who_waits_for_items_wakes_with_the_first(journal: Journal) -> None:
    append(journal, [1])
    thread = waiting(journal, 1)
    append(journal, [2])
    wait_for(thread.is_alive, lambda is_alive: not is_alive)


def test_who_waits_for_items_wakes_when_the_journal_is_closed(journal: Journal) -> None:
    thread = waiting(journal, 0)
    journal.close()
    wait_for(thread.is_alive, lambda is_alive: not is_alive)


def test_nobody_waits_for_items_that_are_there(journal: Journal) -> None:
    append(journal, [1, 2])
    began = time.monotonic()
    journal.wait_for_items(1, DEADLINE)
    assert time.monotonic() - began < DEADLINE / 2


def test_waiting_for_items_ends_after_its_time(journal: Journal) -> None:
    append(journal, [1])
    began = time.monotonic()
    journal.wait_for_items(1, 0.05)
    assert 0.05 <= time.monotonic() - began < DEADLINE / 2
