"""Upload the journal to `landing/`: each closed segment is one object, the same however often it is sent.

    landing/kucoin/2026/11/22/18/20261122T184500.123456Z-3f9c1a2b00c4d5e6-<first>-<last>.jsonl.gz

gzip JSON lines, one item a line. The name has the time of the first item, the journal's id and the
positions of the first and the last item; the endpoint is in the object's metadata.
"""

import logging
import time
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from threading import Thread
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.s3_client import client_arguments
from core.settings import Settings
from extractors.journal.journal import Journal
from extractors.journal.segment import Segment
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5
"""Seconds between two looks for closed segments."""

RETRY_INTERVAL = 5.0
"""Seconds after a failure."""

CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"total_max_attempts": 1},
    # Other stores than S3 proper do not know the newer checksums.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class S3Uploader:
    """Puts the segments of one exchange's journal into the bucket."""

    def __init__(self, settings: Settings, exchange: str, journal_id: str) -> None:
        self._bucket = settings.s3_bucket
        self._folder = f"landing/{exchange}"
        self._journal_id = journal_id
        self._is_conditional = True
        self._s3: S3Client = boto3.client(
            "s3",
            **client_arguments(settings),
            config=CONFIG,
        )

    def upload(self, segment: Segment) -> None:
        """Put a closed segment into the bucket unless its object is there already.

        Raise OSError, BotoCoreError or ClientError.
        """
        key = f"{self._folder}/{self._name(segment)}"
        body = segment.compressed()
        if self._put(key, body, segment.endpoint):
            log.info("uploaded key=%s bytes=%d", key, len(body))
        else:
            log.info("already uploaded key=%s", key)

    def _put(self, key: str, body: bytes, endpoint: str) -> bool:
        """Return whether the object is new."""
        put = partial(
            self._s3.put_object,
            Bucket=self._bucket,
            Key=key,
            Body=body,
            Metadata={"endpoint": endpoint},
            ContentType="application/gzip",
        )
        if self._is_conditional:
            try:
                put(IfNoneMatch="*")
            except ClientError as error:
                match _status(error):
                    case HTTPStatus.PRECONDITION_FAILED:
                        return False
                    case HTTPStatus.NOT_IMPLEMENTED:
                        log.warning("store has no conditional writes, asking before each one")
                        self._is_conditional = False
                    case _:
                        raise
            else:
                return True
        # Safe without the condition: an object of this name has the same items.
        if self._exists(key):
            return False
        put()
        return True

    def _exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _status(error) != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True

    def _name(self, segment: Segment) -> str:
        at = datetime.fromtimestamp(segment.received_at / 1e6, UTC)
        return (
            f"{at:%Y/%m/%d/%H}/{at:%Y%m%dT%H%M%S.%fZ}-{self._journal_id}"
            f"-{segment.first:020}-{segment.end - 1:020}.jsonl.gz"
        )


def _status(error: ClientError) -> int:
    """Return the HTTP status: some stores send no body, and so no code of S3's own."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


class S3UploaderThread(Thread):
    """Uploads closed segments, and deletes those that Kafka has as well.

    Ends when the journal is closed and all is uploaded. An unavailable store delays nothing else:
    what it has not taken stays in the journal.
    """

    def __init__(
        self, journal: Journal, uploader: S3Uploader, stop: Shutdown, metrics: Metrics
    ) -> None:
        super().__init__(name="landing", daemon=True)
        self._journal = journal
        self._uploader = uploader
        self._stop_requested = stop
        self._metrics = metrics
        self._retry_at = 0.0

    def run(self) -> None:
        while self._stop_requested.seconds_left():
            # In this order: a closed journal closes no more segments.
            is_closed = self._journal.is_closed
            self.follow()
            if is_closed and (not self._waiting() or self._is_unavailable()):
                break
            time.sleep(min(LOOK_INTERVAL, self._stop_requested.seconds_left()))

    def follow(self) -> None:
        """Upload what waits, as far as the store and the stop allow."""
        for segment in self._waiting():
            if self._is_unavailable() or not self._stop_requested.seconds_left():
                break
            self._upload(segment)
        self.delete_taken()

    def delete_taken(self) -> None:
        """Delete the segments that both Kafka and the store have."""
        for segment in self._journal.closed_segments():
            if segment.is_uploaded and segment.end <= self._journal.delivered:
                self._journal.delete(segment)

    def items_waiting(self) -> int:
        """Return the number of items that are in no object, their segment closed or not."""
        segments = self._journal.segments()
        return sum(each.end - each.first for each in segments if not each.is_uploaded)

    def oldest_waiting(self) -> int | None:
        """When the oldest item came that is closed and in no object; microseconds since the epoch."""
        return next((segment.received_at for segment in self._waiting()), None)

    def _is_unavailable(self) -> bool:
        """Whether the last upload failed just now."""
        return time.monotonic() < self._retry_at

    def _waiting(self) -> list[Segment]:
        return [each for each in self._journal.closed_segments() if not each.is_uploaded]

    def _upload(self, segment: Segment) -> None:
        try:
            self._uploader.upload(segment)
        except (BotoCoreError, ClientError, OSError) as error:
            if segment not in self._journal.segments():
                # It was dropped meanwhile, for lack of room.
                return
            self._metrics.upload_failures.inc()
            log.warning("upload failed retry_in=%g reason=%r", RETRY_INTERVAL, str(error))
            self._retry_at = time.monotonic() + RETRY_INTERVAL
        else:
            segment.is_uploaded = True
            self._metrics.uploads.inc()
