"""Test the journal: closing of segments, refused and dropped items, locking, restarts."""

import errno
import logging
import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.journal import journal as journal_module
from extractors.journal.journal import DISK_RETRY, Journal, JournalError
from extractors.journal.reader import JournalReader
from tests.support.journals import (
    LIMIT,
    RECEIVED_AT,
    append,
    files_in,
    item,
    items,
    journal_in,
    left_behind,
    lines_of,
    number_of,
    pack_all,
    symbol_of,
)
from tests.support.process import Process, running

HOUR = 3_600_000_000
BYTES = len(item(10)) + 1
"""Length of a line whose number has two digits."""


def numbers(journal: Journal) -> list[int]:
    """Return the items' numbers in the order in which they are read."""
    return [number_of(line) for line in lines_of(journal)]


def spans(journal: Journal) -> list[tuple[str, int, int]]:
    """Return the endpoint, first position and end of each segment."""
    return [(each.endpoint, each.first, each.end) for each in journal.segments()]


def test_items_come_out_once_in_the_order_of_their_positions(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        assert append(journal, [5, 3], endpoint="one")
        assert append(journal, [4], endpoint="two")
        lines = lines_of(journal)
        assert [(each.position, each.endpoint) for each in lines] == [
            (0, "one"),
            (1, "one"),
            (2, "two"),
        ]
        assert [each.text for each in lines] == [item(n) for n in (5, 3, 4)]
        assert [each.symbol for each in lines] == ["A", "A", "A"]


def test_what_append_has_taken_is_on_the_disk_already(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1, 2])
        (path,) = tmp_path.glob("j/*.jsonl")
        assert path.read_bytes() == b"".join(each + b"\n" for each in items([1, 2]))


def test_segment_closes_60_s_after_it_was_begun(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1], now=100.0)
        append(journal, [2], now=150.0)
        journal.close_if_due(159.9)
        assert journal.closed_segments() == []
        journal.close_if_due(160.0)
        assert journal.closed_segments() == journal.segments()
        append(journal, [3], now=160.0)
        journal.close_if_due(219.9)
        assert [each.is_closed for each in journal.segments()] == [True, False]
        assert spans(journal) == [("kucoin.com", 0, 2), ("kucoin.com", 2, 3)]


def test_segment_closes_with_the_append_that_fills_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert journal_module.SEGMENT_BYTES == 8_000_000
    monkeypatch.setattr(journal_module, "SEGMENT_BYTES", 5 * BYTES)
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
        append(journal, [12, 13])
        assert journal.closed_segments() == []
        append(journal, [14, 15])
        assert journal.closed_segments() == journal.segments()
        append(journal, [16])
        assert spans(journal) == [("kucoin.com", 0, 6), ("kucoin.com", 6, 7)]


@pytest.mark.parametrize(
    ("limit", "size"), [(10_000_000_000, 8_000_000), (2_000_000, 250_000), (400_000, 100_000)]
)
def test_segments_of_a_small_journal_are_small_so_that_there_are_closed_ones_to_drop(
    tmp_path: Path, limit: int, size: int
) -> None:
    with journal_in(tmp_path / "j", limit) as journal:
        for line, closed in ((b"x" * (size - 2), 0), (b"", 1)):
            assert journal.append("kucoin.com", [line], RECEIVED_AT, now=0.0) == ""
            assert len(journal.closed_segments()) == closed


def test_segment_closes_at_the_full_hour_of_what_was_received(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1], received_at=RECEIVED_AT + HOUR - 1)
        append(journal, [2], received_at=RECEIVED_AT + HOUR)
        append(journal, [3], received_at=RECEIVED_AT + HOUR + 1)
        assert spans(journal) == [("kucoin.com", 0, 1), ("kucoin.com", 1, 3)]
        assert [each.received_at for each in journal.segments()] == [
            RECEIVED_AT + HOUR - 1,
            RECEIVED_AT + HOUR,
        ]


def test_segment_closes_where_the_endpoint_changes(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        for number, endpoint in enumerate(["one", "one", "two", "one"]):
            append(journal, [number], endpoint=endpoint)
        assert spans(journal) == [("one", 0, 2), ("two", 2, 3), ("one", 3, 4)]
        assert [each.is_closed for each in journal.segments()] == [True, True, False]


def test_names_have_positions_and_endpoint(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(1000), endpoint="stream.binance.com")
        append(journal, [1], endpoint="127.0.0.1")
        assert files_in(tmp_path / "j") == [
            "00000000000000000000-stream.binance.com.jsonl",
            "00000000000000001000-127.0.0.1.jsonl",
        ]


def test_closed_segment_stays_as_it_is_on_the_disk(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
        journal.close()
        (path,) = tmp_path.glob("j/*.jsonl*")
        assert (path, path.stat().st_size) == (journal.segments()[0].path, 2 * BYTES)


def test_closed_journal_has_only_closed_segments_and_says_so(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        assert not journal.is_closed
    assert journal.is_closed
    assert journal.closed_segments() == journal.segments()
    assert numbers(journal) == [1]


def test_size_and_items_are_those_of_what_is_there(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(10, 20), endpoint="one")
        append(journal, range(20, 30), endpoint="two")
        assert journal.size == 20 * BYTES
        assert [journal.items_from(position) for position in (0, 9, 10, 19, 20)] == [
            20, 11, 10, 1, 0
        ]  # fmt: skip
        assert journal.size == sum(path.stat().st_size for path in tmp_path.glob("j/*.jsonl*"))
        journal.delete(journal.segments()[0])
        assert (journal.items_from(0), journal.size) == (10, 10 * BYTES)
        assert len(files_in(tmp_path / "j")) == 1


def test_segments_that_version_0_1_0_packed_are_read_and_counted_as_they_are(
    tmp_path: Path,
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(10, 20), endpoint="one")
        append(journal, range(20, 30), endpoint="two")
    folder = left_behind(tmp_path / "j")
    pack_all(folder)
    with journal_in(folder) as journal:
        assert files_in(folder) == [
            "00000000000000000000-00000000000000000009-one.jsonl.gz",
            "00000000000000000010-00000000000000000019-two.jsonl.gz",
        ]
        assert numbers(journal) == list(range(10, 30))
        assert journal.items_from(5) == 15
        assert journal.size == sum(path.stat().st_size for path in folder.glob("*.gz"))
        journal.delete(journal.segments()[0])
        assert journal.size == sum(path.stat().st_size for path in folder.glob("*.gz"))
        assert numbers(journal) == list(range(20, 30))


def test_full_journal_refuses_whole_and_keeps_what_it_has(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=4 * BYTES) as journal:
        assert append(journal, [10, 11, 12])
        assert not append(journal, [20, 21])
        # No later write succeeds: the missing items are one span.
        assert not append(journal, [13])
        assert numbers(journal) == [10, 11, 12]
        assert journal.size == 3 * BYTES


def test_write_that_is_larger_than_the_limit_costs_no_later_one(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        assert not append(journal, [10, 11, 12])
        assert append(journal, [13, 14])
        assert numbers(journal) == [13, 14]


def test_full_journal_takes_again_when_a_segment_was_deleted(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        append(journal, [10], endpoint="one")
        append(journal, [11], endpoint="two")
        assert not append(journal, [12], endpoint="two")
        journal.delete(journal.segments()[0])
        assert append(journal, [13], endpoint="two")
        assert [(each.position, each.endpoint) for each in lines_of(journal)] == [
            (1, "two"),
            (2, "two"),
        ]
        assert numbers(journal) == [11, 13]


def begun_one_by_one(journal: Journal, numbers: Iterable[int]) -> None:
    """Append each number to a new segment. All segments but the last are closed."""
    for number in numbers:
        assert append(journal, [number], endpoint=str(number))


def test_full_journal_drops_as_many_of_the_oldest_as_it_needs_if_kafka_has_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with journal_in(tmp_path / "j", limit=4 * BYTES) as journal:
        begun_one_by_one(journal, [10, 11, 12, 13])
        journal.delivered = 3
        assert append(journal, [14, 15], endpoint="13")
        assert numbers(journal) == [12, 13, 14, 15]
        assert [each.position for each in lines_of(journal)] == [2, 3, 4, 5]
        assert (journal.size, journal.dropped) == (4 * BYTES, 2)
        assert len(files_in(tmp_path / "j")) == 2
    dropped = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.getMessage() for each in dropped] == [
        f"segment dropped before upload items=1 first={n} last={n}"
        " received_from=2025-03-28T08:00:00+00:00"
        for n in (0, 1)
    ]


def test_what_is_dropped_is_counted_by_item_and_named_by_its_span(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with journal_in(tmp_path / "j", limit=4 * BYTES) as journal:
        append(journal, [10, 11, 12], received_at=RECEIVED_AT - 1)
        append(journal, [13], endpoint="other")
        journal.delivered = 4
        append(journal, [14], endpoint="other")
        assert journal.dropped == 3
    assert "items=3 first=0 last=2 received_from=2025-03-28T07:59:59.999999+00:00" in caplog.text


def test_what_landing_has_is_dropped_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        begun_one_by_one(journal, [10, 11])
        journal.segments()[0].is_uploaded = True
        journal.delivered = 1
        assert append(journal, [12], endpoint="11")
        assert numbers(journal) == [11, 12]
        assert journal.dropped == 0
    assert "dropped" not in caplog.text


def test_what_kafka_lacks_and_the_open_segment_are_never_dropped(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=4 * BYTES) as journal:
        append(journal, [10, 11], endpoint="one")
        append(journal, [12, 13], endpoint="two")
        journal.delivered = 1
        assert not append(journal, [14], endpoint="two")
        journal.delivered = 4
        assert append(journal, [14, 15], endpoint="two")
        assert not append(journal, [16], endpoint="two")
        assert numbers(journal) == [12, 13, 14, 15]
        assert journal.dropped == 2


def test_reader_goes_on_after_what_was_dropped_and_landing_does_not_see_it(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        begun_one_by_one(journal, [10, 11])
        journal.delivered = 1
        append(journal, [12], endpoint="12")
        assert [each.first for each in journal.closed_segments()] == [1]
        assert [each.position for each in lines_of(journal)] == [1, 2]
        assert journal.segment_at(0) is journal.segments()[0]


def test_segment_that_somebody_deleted_is_dropped_like_others(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        begun_one_by_one(journal, [10, 11])
        journal.segments()[0].path.unlink()
        journal.delivered = 1
        assert append(journal, [12], endpoint="11")
        assert numbers(journal) == [11, 12]


def test_segment_that_can_not_be_deleted_stays_and_the_journal_refuses(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j", limit=2 * BYTES) as journal:
        begun_one_by_one(journal, [10, 11])
        oldest = journal.segments()[0]
        oldest.path.unlink()
        # A folder, which unlink() can't delete.
        oldest.path.mkdir()
        journal.delivered = 1
        assert not append(journal, [12], endpoint="11")
        assert journal.segments()[0] is oldest
        assert (journal.size, journal.dropped) == (2 * BYTES, 0)


def test_limit_counts_what_a_former_process_left(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
    with journal_in(left_behind(tmp_path / "j"), limit=3 * BYTES) as journal:
        assert append(journal, [12])
        assert not append(journal, [13])
        assert numbers(journal) == [10, 11, 12]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Make writes past `size` bytes of a file fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, BYTES - 1, BYTES, BYTES + 1, 2 * BYTES - 1])
def test_write_that_the_disk_takes_in_part_leaves_nothing_of_it(tmp_path: Path, room: int) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
        with files_of_at_most(2 * BYTES + room):
            assert not append(journal, [20, 21])
        (path,) = tmp_path.glob("j/*.jsonl")
        assert path.read_bytes() == b"".join(each + b"\n" for each in items([10, 11]))
        assert journal.size == 2 * BYTES
        assert append(journal, [12], now=DISK_RETRY)
        assert numbers(journal) == [10, 11, 12]
        assert [each.position for each in lines_of(journal)] == [0, 1, 2]


@pytest.mark.parametrize("room", [0, 1, BYTES])
def test_first_write_that_fails_leaves_no_empty_segment(tmp_path: Path, room: int) -> None:
    with journal_in(tmp_path / "j") as journal:
        with files_of_at_most(room):
            assert not append(journal, [10, 11])
        assert journal.segments() == []
        assert files_in(tmp_path / "j") == []
        assert append(journal, [12], now=DISK_RETRY)
        assert numbers(journal) == [12]


def test_empty_segment_that_can_not_be_deleted_is_left_to_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "read-only", str(path))

    folder = tmp_path / "j"
    with journal_in(folder) as journal:
        with files_of_at_most(0), monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", refuse)
            refusal = journal.append("one", items([10]), RECEIVED_AT, now=0.0)
        assert str(folder) in refusal
        assert (journal.segments(), journal.size) == ([], 0)
        assert files_in(folder) == ["00000000000000000000-one.jsonl"]
        assert append(journal, [11], endpoint="two", now=DISK_RETRY)
        assert numbers(journal) == [11]
    with journal_in(left_behind(folder)) as journal:
        assert numbers(journal) == [11]
        assert files_in(journal.folder) == ["00000000000000000000-two.jsonl"]


def test_journal_on_a_full_disk_opens_so_that_what_it_holds_can_be_sent(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
        journal_id = journal.id
    left = left_behind(tmp_path / "j")
    recorded = (left / "id").read_text()
    with files_of_at_most(0), journal_in(left) as journal:
        assert (journal.id, numbers(journal)) == (journal_id, [10, 11])
        assert not append(journal, [12])
        assert (left / "id").read_text() == recorded
        first = journal.end
    # Without a segment or a record of this process, the next one may use the same positions.
    with journal_in(left) as journal:
        assert (journal.id, journal.end) == (journal_id, first)
    with journal_in(left) as journal:
        with files_of_at_most(0):
            assert not append(journal, [12])
        assert append(journal, [13], now=DISK_RETRY)
        assert numbers(journal) == [10, 11, 13]


def test_positions_are_reserved_before_the_first_item_once_a_full_disk_has_room(
    tmp_path: Path,
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10])
    left = left_behind(tmp_path / "j")
    with files_of_at_most(0):
        journal = Journal(left, LIMIT)
    assert append(journal, [11], now=DISK_RETRY)
    (found,) = (left / "id").read_text().split()[1:]
    assert int(found) == journal.segments()[-1].first + journal_module.GAP
    journal.close()
    journal.unlock()


def test_full_disk_is_tried_once_a_second_and_no_file_is_created_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    with journal_in(folder) as journal:
        with files_of_at_most(0):
            refusal = journal.append("one", items([10]), RECEIVED_AT, now=100.0)
            assert str(folder) in refusal
            # Set the time to 0: two real ones may be equal, because the clock of file systems is coarse.
            os.utime(folder, ns=(0, 0))
            for now in (100.0, 100.5, 100.999):
                assert journal.append("one", items([11]), RECEIVED_AT, now) == refusal
            assert folder.stat().st_mtime_ns == 0
            assert journal.append("one", items([12]), RECEIVED_AT, now=101.0) == refusal
            assert folder.stat().st_mtime_ns > 0
        assert not append(journal, [13], now=101.999)
        assert append(journal, [14], now=102.0)
        assert append(journal, [15], now=102.0)
        assert numbers(journal) == [14, 15]


def test_full_disk_makes_the_journal_drop_what_kafka_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10, 11])
        journal.delivered = 2
        with files_of_at_most(2 * BYTES + 5):
            assert append(journal, [20, 21])
            assert (numbers(journal), journal.dropped, journal.size) == ([20, 21], 2, 2 * BYTES)
            assert "items=2 first=0 last=1 " in caplog.text
            # Kafka does not have the items that are in the file now.
            assert not append(journal, [30, 31])
        assert numbers(journal) == [20, 21]


def test_disk_that_stays_full_costs_what_kafka_has_and_no_more(tmp_path: Path) -> None:
    """It drops exactly the segments that Kafka has, even if there are thousands."""
    with journal_in(tmp_path / "j") as journal:
        begun_one_by_one(journal, range(2_000))
        journal.delivered = 1_900
        with files_of_at_most(0):
            assert not append(journal, [3_000])
        assert numbers(journal) == list(range(1_900, 2_000))
        assert journal.dropped == 1_900


def test_disk_that_fails_but_is_not_full_costs_nothing_that_is_there(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        begun_one_by_one(journal, [10, 11])
        journal.delivered = 2
        assert not append(journal, [12], endpoint="no/folder")
        assert append(journal, [13], now=DISK_RETRY)
        assert numbers(journal) == [10, 11, 13]
        assert journal.dropped == 0


class Counted(int):
    """A position that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: int) -> bool:
        Counted.comparisons += 1
        return int(self) < other


@pytest.mark.long
def test_segment_of_a_position_is_found_in_a_few_steps_among_thousands(tmp_path: Path) -> None:
    count = 4_000
    with journal_in(tmp_path / "j") as journal:
        begun_one_by_one(journal, range(count))
        segments = journal.segments()
        for position in (0, 1, count // 3, count - 1):
            Counted.comparisons = 0
            assert journal.segment_at(Counted(position)) is segments[position]
            assert 0 < Counted.comparisons <= 12 + 1
        assert journal.segment_at(count) is None


def test_reader_that_saw_a_write_being_taken_back_reads_on_after_it(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [10])
        (path,) = tmp_path.glob("j/*.jsonl")
        with closing(JournalReader(journal, 0, symbol_of)) as reader:
            # The reader sees a write that is not complete yet.
            with path.open("ab") as file:
                file.write(item(20) + b"\n" + item(21)[:5])
            assert list(map(number_of, reader.read())) == [10]
            os.truncate(path, BYTES)
            with files_of_at_most(BYTES):
                assert not append(journal, [20, 21])
            assert append(journal, [11], now=DISK_RETRY)
            assert list(map(number_of, reader.read())) == [11]
    assert [each.is_closed for each in journal.segments()] == [True, True]


KEEP_OPEN = """
import sys
from pathlib import Path
from extractors.journal.journal import Journal
from tests.support.journals import append
journal = Journal(Path(sys.argv[1]), 1000)
append(journal, [1, 2])
print("ready", flush=True)
sys.stdin.read()
"""


def test_second_process_is_refused_by_name_until_the_first_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "j"
    command = [sys.executable, "-c", KEEP_OPEN, str(folder)]
    with running(Process(command, tmp_path / "first.log")) as first:
        first.wait_for(first.log, lambda log: "ready" in log)
        with pytest.raises(JournalError, match=f"^{folder}: another process uses it$"):
            Journal(folder, LIMIT)
        first.kill()
    with journal_in(folder) as journal:
        assert numbers(journal) == [1, 2]


def test_folder_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("")
    with pytest.raises(JournalError, match=str(tmp_path / "j")):
        Journal(tmp_path / "j", LIMIT)


def test_journal_without_segments_is_a_new_one(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as first:
        append(first, [1], endpoint="one")
        first.close()
        first.delete(first.segments()[0])
    with journal_in(left_behind(tmp_path / "j")) as second:
        assert second.id != first.id
        assert (second.had_items, second.start) == (False, 0)
        append(second, [2])
        assert [each.position for each in lines_of(second)] == [0]


def test_journal_with_segments_keeps_its_id_and_goes_on_far_after_them(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as first:
        append(first, [1], endpoint="one")
        append(first, [2, 3], endpoint="two")
        first.delete(first.segments()[0])
    with journal_in(left_behind(tmp_path / "j")) as second:
        assert second.id == first.id
        assert (second.had_items, second.start) == (True, 1)
        assert second.closed_segments() == second.segments()
        append(second, [4], endpoint="two")
        assert [each.position for each in lines_of(second)] == [1, 2, 1_000_000_003]
        assert numbers(second) == [2, 3, 4]


def test_id_is_16_hexadecimal_digits(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        assert len(bytes.fromhex(journal.id)) == 8


@pytest.mark.parametrize("content", [b"", b"\0" * 16, b"\xff", b"3f9c1a2b"])
def test_id_that_a_power_failure_spoiled_is_made_anew(tmp_path: Path, content: bytes) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
    folder = left_behind(tmp_path / "j")
    (folder / "id").write_bytes(content)
    with journal_in(folder) as journal:
        assert len(bytes.fromhex(journal.id)) == 8
        assert numbers(journal) == [1]


def test_position_that_went_to_a_lost_item_is_not_given_again(tmp_path: Path) -> None:
    """Kafka may have the lost item. Another item with its position would be skipped."""
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
    second = left_behind(tmp_path / "j")
    with journal_in(second) as journal:
        append(journal, [2])
        lost = lines_of(journal)[-1].position
    third = left_behind(second)
    next(third.glob(f"{lost:020}-*.jsonl")).write_bytes(b"")
    with journal_in(third) as journal:
        append(journal, [3])
        assert numbers(journal) == [1, 3]
        assert lines_of(journal)[-1].position > lost


@pytest.mark.parametrize("left", [8, 10, 12])
def test_lost_position_is_not_given_again_after_a_process_that_passed_the_recorded_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(journal_module, "GAP", 10)
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(10, 26))
        lost = lines_of(journal)[-1].position
    folder = left_behind(tmp_path / "j")
    (path,) = folder.glob("*.jsonl")
    with path.open("r+b") as file:
        file.truncate(left * BYTES)
    with journal_in(folder) as journal:
        append(journal, [30])
        assert numbers(journal) == [*range(10, 10 + left), 30]
        assert lines_of(journal)[-1].position > lost


def test_lost_position_far_beyond_the_recorded_one_is_not_given_again(tmp_path: Path) -> None:
    folder, far = tmp_path / "j", 10**18
    with journal_in(folder) as journal:
        append(journal, [1, 2, 3])
    (path,) = folder.glob("*.jsonl")
    path.rename(folder / path.name.replace(f"{0:020}", f"{far:020}"))
    with next(folder.glob("*.jsonl")).open("r+b") as file:
        file.truncate(2 * (BYTES - 1))
    with journal_in(folder) as journal:
        append(journal, [4])
        assert numbers(journal) == [1, 2, 4]
        assert lines_of(journal)[-1].position > far + 2


def test_segment_that_is_set_aside_while_it_is_written_ends_there(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        journal.close_if_due(60.0)
        append(journal, [2, 3])
        spoil(tmp_path / "j" / "00000000000000000001-kucoin.com.jsonl")
        assert numbers(journal) == [1]
        assert append(journal, [4])
        assert numbers(journal) == [1, 4]
        assert [each.position for each in lines_of(journal)] == [0, 3]
    assert files_in(tmp_path / "j") == [
        "00000000000000000000-kucoin.com.jsonl",
        "00000000000000000001-kucoin.com.jsonl.corrupt",
        "00000000000000000003-kucoin.com.jsonl",
    ]


def test_the_only_segment_may_be_set_aside_while_it_is_written(tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        spoil(tmp_path / "j" / "00000000000000000000-kucoin.com.jsonl")
        assert numbers(journal) == []
        assert append(journal, [2])
        assert numbers(journal) == [2]
        assert journal.size == BYTES - 1


def spoil(path: Path) -> None:
    """Overwrite the first byte."""
    with path.open("r+b") as file:
        file.write(b"x")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 9))),
    st.integers(1, 30),
)
def test_what_it_has_no_room_for_is_refused_or_dropped_and_kafka_has_what_is_dropped(
    tmp_path_factory: pytest.TempPathFactory, appends: list[tuple[int, bool, int]], most: int
) -> None:
    folder = tmp_path_factory.mktemp("drops")
    taken: list[int] = []
    with journal_in(folder, limit=most * BYTES) as journal:
        for number, (count, is_new_segment, more_delivered) in enumerate(appends):
            endpoint = str(number) if is_new_segment else "same"
            if append(journal, [number % 90 + 10] * count, endpoint=endpoint):
                taken += [number % 90 + 10] * count
            lines = lines_of(journal)
            assert [number_of(line) for line in lines] == taken[journal.dropped :]
            assert [line.position for line in lines] == list(range(journal.dropped, len(taken)))
            assert journal.dropped <= journal.delivered
            assert journal.size == len(lines) * BYTES <= most * BYTES
            journal.delivered = min(len(taken), journal.delivered + more_delivered)


@given(st.lists(st.integers(1, 9), min_size=1), st.integers(1, 30))
def test_it_never_grows_beyond_its_limit_and_loses_only_what_it_refused(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], most: int
) -> None:
    folder = tmp_path_factory.mktemp("limit")
    taken: list[int] = []
    fits = True
    with journal_in(folder, limit=most * BYTES) as journal:
        for number, count in enumerate(counts, 10):
            fits = (fits or not taken) and len(taken) + count <= most
            assert append(journal, [number % 90 + 10] * count) == fits
            taken += [number % 90 + 10] * count if fits else []
        assert numbers(journal) == taken
        assert journal.size == len(taken) * BYTES
