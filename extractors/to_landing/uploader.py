"""Upload each closed segment of the journal to `landing/` as one object; repeats change nothing.

    landing/kucoin/2026/11/22/18/20261122T184500.123456Z-3f9c1a2b00c4d5e6-<first>-<last>.jsonl.gz

The object is gzip JSON lines, one item per line. Its name contains the time of the first item, the
journal's id and the positions of the first and the last item; its metadata contains the endpoint.
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
from extractors.journal.segment import Segment, is_shortage
from extractors.metrics import Metrics
from extractors.shutdown import Shutdown

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5
"""Seconds between two checks for closed segments."""

RETRY_INTERVAL = 5.0
"""Seconds from a failure to the next attempt, to upload or to delete."""

CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    retries={"total_max_attempts": 1},
    # Some S3-compatible stores do not support the newer checksums.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class S3Uploader:
    """Uploader of the segments of one exchange's journal."""

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

    def upload(self, segment: Segment, body: bytes) -> None:
        """Put a closed segment, compressed as `body`, into the bucket unless its object exists already.

        Raise OSError, BotoCoreError or ClientError.
        """
        key = f"{self._folder}/{self._name(segment)}"
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
                        log.warning("store has no conditional writes, checking before each upload")
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
    """Return the HTTP status. Some stores send no body, and so no error code of S3."""
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


class S3UploaderThread(Thread):
    """Thread that uploads closed segments, and deletes those that Kafka has too.

    Once the journal is closed, it ends as soon as every segment is uploaded or the store is unavailable. An
    unavailable store delays nothing else: segments that are not uploaded stay in the journal.
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
        self._delete_at = 0.0

    def run(self) -> None:
        while self._stop_requested.seconds_left():
            # Checked first: a closed journal closes no more segments.
            is_closed = self._journal.is_closed
            self.follow()
            if is_closed and (not self._waiting() or self._is_unavailable()):
                break
            time.sleep(min(LOOK_INTERVAL, self._stop_requested.seconds_left()))

    def follow(self) -> None:
        """Upload the waiting segments until the store fails or the deadline passes."""
        for segment in self._waiting():
            if self._is_unavailable() or not self._stop_requested.seconds_left():
                break
            self._upload(segment)
        self.delete_taken()

    def delete_taken(self) -> None:
        """Delete the segments that both Kafka and the store have. One that can't be deleted stays."""
        if time.monotonic() < self._delete_at:
            return
        for segment in self._journal.closed_segments():
            is_taken = segment.is_uploaded and segment.end <= self._journal.delivered
            if is_taken and not self._journal.delete(segment):
                self._delete_at = time.monotonic() + RETRY_INTERVAL

    def items_waiting(self) -> int:
        """Return the number of items not uploaded yet, in closed segments and in the open one."""
        segments = self._journal.segments()
        return sum(each.end - each.first for each in segments if not each.is_uploaded)

    def oldest_waiting(self) -> int | None:
        """Return when the oldest item in a closed segment to upload was received.

        In microseconds since the epoch; None if there is none.
        """
        return next((segment.received_at for segment in self._waiting()), None)

    def _is_unavailable(self) -> bool:
        """Return whether an upload failed in the last RETRY_INTERVAL seconds."""
        return time.monotonic() < self._retry_at

    def _waiting(self) -> list[Segment]:
        return [each for each in self._journal.closed_segments() if not each.is_uploaded]

    def _upload(self, segment: Segment) -> None:
        try:
            body = segment.compressed()
        except OSError as error:
            if is_shortage(error):
                self._failed(error)
            elif segment.end <= self._journal.delivered:
                self._journal.set_aside(segment, error)
            # Otherwise KafkaFollower still has to read the segment, and sets it aside itself.
            return
        try:
            self._uploader.upload(segment, body)
        except (BotoCoreError, ClientError, OSError) as error:
            self._failed(error)
        else:
            segment.is_uploaded = True
            self._metrics.uploads.inc()

    def _failed(self, error: Exception) -> None:
        self._metrics.upload_failures.inc()
        log.warning("upload failed retry_in=%g reason=%r", RETRY_INTERVAL, str(error))
        self._retry_at = time.monotonic() + RETRY_INTERVAL
