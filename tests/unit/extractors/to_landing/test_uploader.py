"""Test uploads: the same segment becomes the same object, whichever process sends it."""

import gzip
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from core.settings import EXTRACTORS, Settings
from extractors.journal.journal import Journal
from extractors.journal.segment import Segment
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_landing.uploader import RETRY_INTERVAL, S3Uploader, S3UploaderThread
from tests.support.clock import Clock
from tests.support.journals import (
    RECEIVED_AT,
    append,
    files_in,
    items,
    journal_in,
    left_behind,
    no_more_descriptors,
    pack_all,
)
from tests.support.small_store import Put, Store, small_store


@pytest.fixture(scope="module")
def one_store() -> Iterator[Store]:
    with small_store() as store:
        yield store


@pytest.fixture
def store(one_store: Store) -> Store:
    """Return an empty store that accepts every upload."""
    one_store.puts.clear()
    one_store.objects.clear()
    one_store.status, one_store.code = 200, ""
    one_store.has_conditional_writes = True
    one_store.during_put = lambda: None
    return one_store


def upload_all(store: Store, journal: Journal) -> list[Put]:
    uploader = S3Uploader(store.settings, "kucoin", journal.id)
    before = len(store.puts)
    for segment in journal.closed_segments():
        uploader.upload(segment, segment.compressed())
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


def test_object_is_the_compressed_segment_with_its_endpoint(store: Store, tmp_path: Path) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7), endpoint="stream.binance.com")
        journal.close()
        (put,) = upload_all(store, journal)
        assert put.body == journal.segments()[0].compressed()
    assert gzip.decompress(put.body).splitlines() == items(range(7))
    assert put.headers["x-amz-meta-endpoint"] == "stream.binance.com"
    assert put.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in put.headers
    assert not [name for name in put.headers if name.startswith("x-amz-checksum")]


@pytest.mark.parametrize("code", ["PreconditionFailed", ""], ids=["S3", "an answer without body"])
def test_object_that_is_there_is_not_replaced(store: Store, tmp_path: Path, code: str) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        journal.close()
        store.status, store.code = 412, code
        (put,) = upload_all(store, journal)
        assert put.headers["if-none-match"] == "*"


def test_temporary_credentials_of_the_environment_sign_with_their_session_token(
    store: Store, tmp_path: Path
) -> None:
    environment = {
        "S3_ENDPOINT_URL": store.settings.s3_endpoint_url,
        "AWS_ACCESS_KEY_ID": "ASIAKEY",
        "AWS_SECRET_ACCESS_KEY": "tr0ub4dor",
        "AWS_SESSION_TOKEN": "a/b+c==",
    }
    settings = Settings.from_environment(EXTRACTORS, environment)
    with journal_in(tmp_path / "j") as journal:
        append(journal, [1])
        journal.close()
        (segment,) = journal.segments()
        S3Uploader(settings, "kucoin", journal.id).upload(segment, segment.compressed())
    (put,) = store.puts
    assert put.headers["x-amz-security-token"] == "a/b+c=="
    assert "Credential=ASIAKEY/" in put.headers["authorization"]
    assert "tr0ub4dor" not in str(put.headers)


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
    """It does not matter whether the previous process had closed its segments."""
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7), endpoint="one", received_at=RECEIVED_AT + 1)
        append(journal, range(7, 9), endpoint="two", received_at=RECEIVED_AT + 2)
        killed = left_behind(tmp_path / "j")
        journal.close()
        sent = upload_all(store, journal)
        closed = left_behind(tmp_path / "j")
    assert len(sent) == 2
    for folder in (killed, closed):
        with journal_in(folder) as journal:
            again = upload_all(store, journal)
        assert [(put.path, put.body) for put in again] == [(put.path, put.body) for put in sent]


def test_segment_that_version_0_1_0_packed_is_sent_as_it_is_under_the_same_name(
    store: Store, tmp_path: Path
) -> None:
    with journal_in(tmp_path / "j") as journal:
        append(journal, range(7))
        journal.close()
        (sent,) = upload_all(store, journal)
    folder = left_behind(tmp_path / "j")
    pack_all(folder)
    (packed,) = folder.glob("*.jsonl.gz")
    with journal_in(folder) as journal:
        (again,) = upload_all(store, journal)
    assert (again.path, again.body) == (sent.path, packed.read_bytes())


def test_store_without_conditional_writes_is_asked_before_each_upload(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.has_conditional_writes = False
    with journal_in(tmp_path / "j") as journal:
        for number in range(3):
            append(journal, [number], endpoint=str(number))
        journal.close()
        first, second, third = journal.closed_segments()
        uploader = S3Uploader(store.settings, "kucoin", journal.id)
        for segment in (first, second, first, third):
            uploader.upload(segment, segment.compressed())
    # The first segment is sent twice: with the condition and without.
    conditional, *taken = store.puts
    assert "if-none-match" in conditional.headers
    assert [gzip.decompress(put.body).splitlines() for put in taken] == [
        items([number]) for number in range(3)
    ]
    assert [put.path for put in taken if "if-none-match" in put.headers] == []
    assert caplog.text.count("store has no conditional writes") == 1
    assert caplog.text.count("already uploaded") == 1


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Yield a journal of three closed segments."""
    with journal_in(tmp_path / "j") as journal:
        for number in range(3):
            append(journal, [number], endpoint=str(number))
        journal.close()
        yield journal


def follower(store: Store, journal: Journal, metrics: Metrics | None = None) -> S3UploaderThread:
    uploader = S3Uploader(store.settings, "kucoin", journal.id)
    return S3UploaderThread(journal, uploader, Shutdown(10.0), metrics or Metrics("kucoin"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("extractors.to_landing.uploader.time", SimpleNamespace(monotonic=clock))
    return clock


def test_segment_is_deleted_when_both_kafka_and_the_store_have_it(
    store: Store, journal: Journal
) -> None:
    landing = follower(store, journal)
    journal.delivered = 2
    landing.follow()
    assert len(store.objects) == 3
    assert [each.first for each in journal.segments()] == [2]
    assert len(files_in(journal.folder)) == 1
    journal.delivered = 3
    landing.delete_taken()
    assert journal.segments() == []
    assert len(store.puts) == 3


def test_items_that_wait_are_those_that_are_in_no_object(store: Store, journal: Journal) -> None:
    landing = follower(store, journal)
    assert (landing.items_waiting(), landing.oldest_waiting()) == (3, RECEIVED_AT)
    landing.follow()
    assert (landing.items_waiting(), landing.oldest_waiting()) == (0, None)


def test_refusal_of_the_store_is_counted_and_the_rest_waits(
    store: Store, journal: Journal, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics("kucoin")
    landing = follower(store, journal, metrics)
    store.status, store.code = 503, "SlowDown"
    journal.delivered = 3
    landing.follow()
    clock.now += RETRY_INTERVAL - 1
    landing.follow()
    assert len(store.puts) == metrics.upload_failures._value.get() == 1  # noqa: SLF001
    assert "upload failed retry_in=5 " in caplog.text and "SlowDown" in caplog.text
    assert (landing.items_waiting(), len(journal.segments())) == (3, 3)


def test_segment_that_is_dropped_before_its_turn_is_no_failure(
    store: Store, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    landing = follower(store, journal)
    dropped = journal.segments()[1]
    store.during_put = lambda: journal.delete(dropped)
    landing.follow()
    assert uploaded_items(store) == [items([0]), items([2])]
    assert "upload failed" not in caplog.text
    assert landing.items_waiting() == 0


def make_a_folder_of(segment: Segment) -> None:
    """Replace the segment's file by a folder, which can be neither read nor deleted as a file."""
    segment.path.unlink()
    segment.path.mkdir()


def uploaded_items(store: Store) -> list[list[bytes]]:
    return [gzip.decompress(put.body).splitlines() for put in store.puts]


def test_segment_that_can_not_be_read_is_set_aside_once_kafka_has_it_and_delays_no_other(
    store: Store, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    landing = follower(store, journal)
    oldest = journal.segments()[0]
    make_a_folder_of(oldest)
    landing.follow()
    assert uploaded_items(store) == [items([1]), items([2])]
    # KafkaFollower has to read it first.
    assert journal.segments()[0] is oldest
    journal.delivered = 3
    landing.follow()
    assert (landing.items_waiting(), journal.segments(), journal.size) == (0, [], 0)
    assert files_in(journal.folder) == [f"{oldest.path.name}.corrupt"]
    assert f"segment set aside file={oldest.path}.corrupt" in caplog.text
    assert "upload failed" not in caplog.text


def test_segment_that_somebody_deleted_leaves_the_journal_and_is_named(
    store: Store, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    landing = follower(store, journal)
    oldest = journal.segments()[0]
    oldest.path.unlink()
    journal.delivered = 3
    landing.follow()
    assert uploaded_items(store) == [items([1]), items([2])]
    assert (landing.items_waiting(), journal.segments()) == (0, [])
    assert f"segment lost file={oldest.path} " in caplog.text


def test_segment_is_uploaded_later_if_there_is_no_descriptor_to_read_it_with(
    store: Store, journal: Journal, clock: Clock
) -> None:
    landing = follower(store, journal)
    journal.delivered = 3
    with no_more_descriptors():
        landing.follow()
    assert landing.items_waiting() == 3
    clock.now += RETRY_INTERVAL
    landing.follow()
    assert uploaded_items(store) == [items([0]), items([1]), items([2])]
    assert files_in(journal.folder) == []


def test_segment_that_can_not_be_deleted_stays_and_is_deleted_later(
    store: Store, journal: Journal, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    landing = follower(store, journal)
    landing.follow()
    oldest = journal.segments()[0]
    make_a_folder_of(oldest)
    journal.delivered = 3
    landing.delete_taken()
    clock.now += RETRY_INTERVAL - 1
    landing.delete_taken()
    assert journal.segments() == [oldest]
    assert caplog.text.count(f"segment not deleted file={oldest.path} ") == 1
    oldest.path.rmdir()
    clock.now += 1
    landing.delete_taken()
    assert journal.segments() == []


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
