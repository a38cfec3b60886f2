"""Test segments: compression keeps the content, and segments are found after any crash."""

import errno
import gzip
import logging
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extractors.journal.recovery import found_segments
from extractors.journal.segment import Segment
from tests.support.journals import RECEIVED_AT, files_in, items, pack

LINES = [each + b"\n" for each in items(range(10, 15))]
PLAIN = "00000000000000000100-kucoin.com.jsonl"
PACKED = "00000000000000000100-00000000000000000104-kucoin.com.jsonl.gz"


def closed_segment(folder: Path) -> Segment:
    """Return a closed segment of five lines, at positions 100 to 104."""
    content = b"".join(LINES)
    path = folder / PLAIN
    path.write_bytes(content)
    return Segment(path, "kucoin.com", 100, 105, RECEIVED_AT, size=len(content), is_closed=True)


def content_of(segment: Segment) -> bytes:
    with segment.open() as file:
        return file.read()


def test_compressed_segment_has_the_same_lines_in_fewer_bytes(tmp_path: Path) -> None:
    segment = closed_segment(tmp_path)
    compressed = segment.compressed()
    assert gzip.decompress(compressed) == b"".join(LINES)
    assert len(compressed) < segment.size


def test_compressing_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    segment = closed_segment(tmp_path)
    segment.compressed()
    assert files_in(tmp_path) == [PLAIN]
    assert content_of(segment) == b"".join(LINES)
    assert segment.size == len(b"".join(LINES))


def test_same_items_are_the_same_bytes_without_name_and_time(tmp_path: Path) -> None:
    compressed = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        compressed.append(closed_segment(tmp_path / name).compressed())
    assert compressed[0] == compressed[1]
    flags, time = compressed[0][3], compressed[0][4:8]
    assert (flags, time) == (0, bytes(4))


def test_segment_that_version_0_1_0_packed_is_compressed_already(tmp_path: Path) -> None:
    closed_segment(tmp_path)
    content = pack(tmp_path / PLAIN).read_bytes()
    (segment,) = found_segments(tmp_path)
    assert segment.compressed() == content


def test_segment_without_its_file_can_not_be_compressed(tmp_path: Path) -> None:
    segment = closed_segment(tmp_path)
    segment.path.unlink()
    with pytest.raises(FileNotFoundError):
        segment.compressed()


def test_open_reads_on_while_the_segment_is_deleted(tmp_path: Path) -> None:
    segment = closed_segment(tmp_path)
    with segment.open() as file:
        assert file.readline() == LINES[0]
        segment.path.unlink()
        assert file.read() == b"".join(LINES[1:])
    assert files_in(tmp_path) == []


def test_plain_file_is_found_as_a_closed_segment(tmp_path: Path) -> None:
    size = closed_segment(tmp_path).size
    (segment,) = found_segments(tmp_path)
    assert (segment.endpoint, segment.first, segment.end) == ("kucoin.com", 100, 105)
    assert (segment.size, segment.received_at) == (size, RECEIVED_AT)
    assert (segment.path, segment.is_closed, segment.is_uploaded) == (tmp_path / PLAIN, True, False)
    assert content_of(segment) == b"".join(LINES)


def test_packed_file_is_found_as_it_was(tmp_path: Path) -> None:
    closed_segment(tmp_path)
    path = pack(tmp_path / PLAIN)
    assert files_in(tmp_path) == [PACKED]
    (segment,) = found_segments(tmp_path)
    assert (segment.endpoint, segment.first, segment.end) == ("kucoin.com", 100, 105)
    assert (segment.size, segment.received_at) == (path.stat().st_size, RECEIVED_AT)
    assert (segment.path, segment.is_closed, segment.is_uploaded) == (path, True, False)
    assert content_of(segment) == b"".join(LINES)


def test_found_ones_come_in_the_order_of_their_positions(tmp_path: Path) -> None:
    for first in (10**10, 9, 100):
        (tmp_path / f"{first:020}-a.jsonl").write_bytes(LINES[0])
    (tmp_path / f"{50:020}-{50:020}-z.jsonl.gz").write_bytes(gzip.compress(LINES[0]))
    assert [each.first for each in found_segments(tmp_path)] == [9, 50, 100, 10**10]


def test_crash_before_the_packed_one_was_whole_costs_nothing(tmp_path: Path) -> None:
    """Version 0.1.0 packed into a temporary file, and then renamed it."""
    closed_segment(tmp_path)
    (tmp_path / PLAIN).with_suffix(".tmp").write_bytes(b"\x1f\x8b half")
    (segment,) = found_segments(tmp_path)
    assert files_in(tmp_path) == [PLAIN]
    assert content_of(segment) == b"".join(LINES)


def test_crash_before_the_plain_one_was_gone_doubles_nothing(tmp_path: Path) -> None:
    closed_segment(tmp_path)
    pack(tmp_path / PLAIN)
    closed_segment(tmp_path)
    assert files_in(tmp_path) == [PACKED, PLAIN]
    (segment,) = found_segments(tmp_path)
    assert files_in(tmp_path) == [PACKED]
    assert content_of(segment) == b"".join(LINES)


def test_plain_file_counts_where_the_packed_one_beside_it_is_corrupt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    closed_segment(tmp_path)
    (tmp_path / PACKED).write_bytes(bytes(100))
    (segment,) = found_segments(tmp_path)
    assert content_of(segment) == b"".join(LINES)
    assert files_in(tmp_path) == [f"{PACKED}.corrupt", PLAIN]
    assert f"{PACKED}.corrupt" in caplog.text


@given(st.data())
def test_torn_end_is_cut_off_wherever_it_is_torn(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("torn")
    content = b"".join(LINES)
    cut = data.draw(st.integers(0, len(content)))
    (folder / PLAIN).write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert [each.end for each in found_segments(folder)] == ([100 + whole] if whole else [])
    assert [path.read_bytes() for path in folder.iterdir()] == (
        [b"".join(LINES[:whole])] if whole else []
    )


GARBAGE = st.one_of(
    st.integers(1, 5000).map(bytes),
    st.integers(1, 100).map(lambda size: bytes(size) + b"\n"),
    st.sampled_from([b"\n", b"\n\n", b'{"s":"A"', b"[]\n", b"7\n", b"null\n", b"\xff\xfe\n"]),
    st.just(b'{"x":' * 10_000 + b"1" + b"}" * 10_000 + b"\n"),
    st.binary(max_size=100).filter(lambda tail: b"}" not in tail),
)


@given(st.lists(GARBAGE, max_size=4).map(b"".join))
def test_garbage_at_the_end_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes
) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    (folder / PLAIN).write_bytes(b"".join(LINES) + garbage)
    (segment,) = found_segments(folder)
    assert (segment.first, segment.end) == (100, 105)
    assert content_of(segment) == b"".join(LINES)
    assert segment.size == len(b"".join(LINES))


@pytest.mark.parametrize("content", [b"", b"\n", bytes(4096), b'{"s":"A","number":1'])
def test_plain_file_without_an_item_is_deleted(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PLAIN).write_bytes(content)
    assert found_segments(tmp_path) == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (PACKED, b""),
        (PACKED, bytes(50)),
        (PACKED, gzip.compress(b"".join(LINES), mtime=0)[:20]),
        (PACKED, gzip.compress(b"", mtime=0)),
        (PACKED, gzip.compress(b"no JSON\n", mtime=0)),
        (PACKED, gzip.compress(b"[1]\n", mtime=0)),
        (PLAIN, b"no JSON\n" + LINES[0]),
        (PLAIN, b"5\n" + LINES[0]),
        (PLAIN, b'{"received_at":null}\n' + LINES[0]),
        (PLAIN, b"{}\n" + LINES[0]),
    ],
    ids=count(),
)
def test_segment_that_can_not_be_read_is_set_aside_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    other = f"{7:020}-one.jsonl"
    (tmp_path / other).write_bytes(LINES[0])
    (tmp_path / name).write_bytes(content)
    assert [each.first for each in found_segments(tmp_path)] == [7]
    assert files_in(tmp_path) == [other, f"{name}.corrupt"]
    assert (tmp_path / f"{name}.corrupt").read_bytes() == content
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f"{name}.corrupt" in record.getMessage()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_lack_of_descriptors_or_memory_sets_no_segment_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(number, "lacking", str(path))

    (tmp_path / PLAIN).write_bytes(LINES[0])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        with pytest.raises(OSError, match="lacking"):
            found_segments(tmp_path)
    assert files_in(tmp_path) == [PLAIN]
    assert [each.end for each in found_segments(tmp_path)] == [101]


def test_file_of_somebody_else_stays_as_it_is(tmp_path: Path) -> None:
    names = ["notes.jsonl", "00-one.jsonl", f"{PACKED}.corrupt", "README"]
    for name in names:
        (tmp_path / name).write_text("mine")
    assert found_segments(tmp_path) == []
    assert files_in(tmp_path) == sorted(names)
