"""What the object store is asked for: the same object for the same segment, whoever sends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from extractors.journal import Journal
from extractors.s3_uploader import S3Uploader
from tests.support.journals import RECEIVED_AT, append, journal_in, left_behind, pack_all
from tests.support.small_store import Put, Store, small_store


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    with small_store() as store:
        yield store


@pytest.fixture
def store(one_store: Store) -> Store:
    """Empty, and it takes what comes."""
    one_store.puts.clear()
    one_store.status, one_store.code = 200, ""
    return one_store


def upload_all(store: Store, journal: Journal) -> list[Put]:
    pack_all(journal)
    uploader = S3Uploader(store.settings, "kucoin", journal.id)
    before = len(store.puts)
    for segment in journal.closed_segments():
        uploader.upload(segment)
    return store.puts[before:]


def test_object_is_named_by_time_journal_and_positions(store: Store, tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7), endpoint="one")
        append(journal, range(3), endpoint="two", received_at=RECEIVED_AT + 45 * 60_000_000 + 42)
        journal.close()
        first, second = upload_all(store, journal)
        folder = "/cryptopricesrt/landing/kucoin/2025/03/28/08"
        assert first.path == (
            f"{folder}/20250328T080000.000000Z-{journal.id}"
            "-00000000000000000000-00000000000000000006.jsonl.gz"
        )
        assert second.path == (
            f"{folder}/20250328T084500.000042Z-{journal.id}"
            "-00000000000000000007-00000000000000000009.jsonl.gz"
        )


def test_object_is_the_packed_file_with_its_endpoint(store: Store, tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7), endpoint="stream.binance.com")
        journal.close()
        (put,) = upload_all(store, journal)
        assert put.body == journal.segments()[0].packed.read_bytes()
    assert put.headers["x-amz-meta-endpoint"] == "stream.binance.com"
    assert put.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in put.headers
    assert not [name for name in put.headers if name.startswith("x-amz-checksum")]


def test_object_that_is_there_is_not_replaced(store: Store, tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        journal.close()
        store.status, store.code = 412, "PreconditionFailed"
        (put,) = upload_all(store, journal)
        assert put.headers["if-none-match"] == "*"


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, "SlowDown")])
def test_any_other_refusal_is_an_error_after_one_attempt(
    store: Store, tmp_path: Path, status: int, code: str
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        journal.close()
        store.status, store.code = status, code
        with pytest.raises(ClientError, match=code):
            upload_all(store, journal)
        assert len(store.puts) == 1


def test_next_process_sends_the_same_object(store: Store, tmp_path: Path) -> None:
    """Whether the one before had packed its segments or not."""
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7), endpoint="one", received_at=RECEIVED_AT + 1)
        append(journal, range(7, 9), endpoint="two", received_at=RECEIVED_AT + 2)
        unpacked = left_behind(tmp_path / "j")
        journal.close()
        sent = upload_all(store, journal)
        packed = left_behind(tmp_path / "j")
    assert len(sent) == 2
    for folder in (unpacked, packed):
        with journal_in(folder) as journal:
            again = upload_all(store, journal)
        assert [(put.path, put.body) for put in again] == [(put.path, put.body) for put in sent]


def test_name_has_the_time_to_the_microsecond(store: Store, tmp_path: Path) -> None:
    times = [
        (0, "1970/01/01/00/19700101T000000.000000Z"),
        (RECEIVED_AT - 1, "2025/03/28/07/20250328T075959.999999Z"),
        (RECEIVED_AT + 1, "2025/03/28/08/20250328T080000.000001Z"),
        (4_102_444_799_999_999, "2099/12/31/23/20991231T235959.999999Z"),
    ]
    with journal_in(tmp_path / "j") as journal:
        for received_at, _ in times:
            append(journal, [1], received_at=received_at)
        journal.close()
        paths = [put.path for put in upload_all(store, journal)]
    found = [path.removeprefix("/cryptopricesrt/landing/kucoin/").split("-")[0] for path in paths]
    assert found == [name for _, name in times]
