"""Run S3Uploader and its thread against the real MinIO."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from core.message import encode_item
from core.settings import Settings
from extractors.journal.journal import Journal
from extractors.journal.segment import Segment
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown
from extractors.to_landing.uploader import S3Uploader, S3UploaderThread
from tests.support.frames import BTCUSDT, ETHUSDT, RECEIVED_AT
from tests.support.landing import Landing
from tests.support.waiting import wait_for

LIMIT = 10_000_000
ITEMS = [{**BTCUSDT, "received_at": RECEIVED_AT}, {**ETHUSDT, "received_at": RECEIVED_AT}]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "binance", LIMIT)
    yield opened
    opened.close()
    opened.unlock()


@pytest.fixture
def landing(settings: Settings) -> Landing:
    return Landing(settings, "binance")


def append(journal: Journal, items: list[dict[str, Any]]) -> None:
    texts = [encode_item(each) for each in items]
    assert not journal.append("stream.binance.com", texts, RECEIVED_AT, now=0.0)


def segment_with(journal: Journal, items: list[dict[str, Any]]) -> Segment:
    """Append items, close their segment and return it."""
    append(journal, items)
    journal.close_if_due(now=60.0)
    return journal.closed_segments()[-1]


def test_segment_becomes_an_object_named_by_time_journal_and_positions(
    journal: Journal, landing: Landing, settings: Settings
) -> None:
    segment = segment_with(journal, ITEMS)
    S3Uploader(settings, "binance", journal.id).upload(segment, segment.compressed())
    assert landing.keys() == [
        f"landing/binance/2025/03/28/07/20250328T073728.501233Z-{journal.id}"
        "-00000000000000000000-00000000000000000001.jsonl.gz"
    ]
    assert landing.items() == ITEMS


def test_upload_that_is_repeated_changes_nothing(
    journal: Journal, landing: Landing, settings: Settings
) -> None:
    uploader = S3Uploader(settings, "binance", journal.id)
    segment = segment_with(journal, ITEMS)
    uploader.upload(segment, segment.compressed())
    [before] = landing.versions()
    # Other bytes, because an object that is replaced within a second keeps its time of the last change.
    uploader.upload(segment, b"other")
    assert landing.versions() == [before]
    assert landing.items() == ITEMS


def test_wrong_credentials_are_an_error_without_the_secret(
    journal: Journal, settings: Settings
) -> None:
    strange = replace(settings, aws_secret_access_key="tr0ub4dor")
    segment = segment_with(journal, ITEMS)
    with pytest.raises(ClientError) as refused:
        S3Uploader(strange, "binance", journal.id).upload(segment, segment.compressed())
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"
    assert "tr0ub4dor" not in str(refused.value)


def follower(journal: Journal, settings: Settings, delivered: int) -> S3UploaderThread:
    journal.delivered = delivered
    uploader = S3Uploader(settings, "binance", journal.id)
    return S3UploaderThread(journal, uploader, Shutdown(10.0), Metrics("binance"))


def test_segment_is_deleted_only_when_kafka_has_it_too(
    journal: Journal, landing: Landing, settings: Settings
) -> None:
    first, second = segment_with(journal, ITEMS), segment_with(journal, ITEMS[:1])
    follower(journal, settings, delivered=2).follow()
    assert [first.path.exists(), second.path.exists()] == [False, True]
    assert landing.items() == [*ITEMS, ITEMS[0]]


def test_an_object_store_that_refuses_loses_nothing_and_is_reported(
    journal: Journal, landing: Landing, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    segment = segment_with(journal, ITEMS)
    follower(journal, replace(settings, s3_bucket="not-there"), delivered=2).follow()
    assert "upload failed" in caplog.text and "NoSuchBucket" in caplog.text
    assert segment.path.exists()
    follower(journal, settings, delivered=2).follow()
    assert landing.items() == ITEMS


def test_thread_uploads_what_the_journal_left_and_ends_with_it(
    journal: Journal, landing: Landing, settings: Settings
) -> None:
    thread = follower(journal, settings, delivered=2)
    thread.start()
    append(journal, ITEMS)
    journal.close()
    wait_for(thread.is_alive, lambda is_alive: not is_alive)
    assert [json.dumps(each) for each in landing.items()] == [json.dumps(each) for each in ITEMS]
    assert journal.segments() == []
