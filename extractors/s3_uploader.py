"""From the journal to `landing/`: each closed segment is one object, the same however often it is sent.

    landing/kucoin/2026/11/22/18/20261122T184500.123456Z-3f9c1a2b00c4d5e6-<first>-<last>.jsonl.gz

gzip JSON lines, one item a line. The name has the time of the first item, the journal's id and the
positions of the first and the last item; the endpoint is in the object's metadata.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.s3_client import client_arguments
from core.settings import Settings
from extractors.journal import Journal
from extractors.metrics import Metrics
from extractors.segment import Segment
from extractors.stop import Stop

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)

LOOK_INTERVAL = 0.5
"""Seconds between two looks for closed segments."""

RETRY_INTERVAL = 5.0
"""Seconds after a failure."""

ALREADY_THERE = "PreconditionFailed"

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
        self._s3: S3Client = boto3.client(
            "s3",
            **client_arguments(settings),
            config=CONFIG,
        )

    def upload(self, segment: Segment) -> None:
        """A packed segment, unless it is there already.

        Raises OSError, BotoCoreError or ClientError.
        """
        key = f"{self._folder}/{self._name(segment)}"
        with segment.packed.open("rb") as body:
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    IfNoneMatch="*",
                    Metadata={"endpoint": segment.endpoint},
                    ContentType="application/gzip",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != ALREADY_THERE:
                    raise
        log.info("uploaded key=%s bytes=%d", key, segment.size)

    def _name(self, segment: Segment) -> str:
        at = datetime.fromtimestamp(segment.received_at / 1e6, UTC)
        return (
            f"{at:%Y/%m/%d/%H}/{at:%Y%m%dT%H%M%S.%fZ}-{self._journal_id}"
            f"-{segment.first:020}-{segment.end - 1:020}.jsonl.gz"
        )


class S3UploaderThread(Thread):
    """Packs, uploads and deletes closed segments until the journal is closed and all is uploaded.

    `delivered` is the position up to which Kafka has everything. A store that is away holds up
    nothing else: what it has not taken stays in the journal.
    """

    def __init__(
        self,
        journal: Journal,
        uploader: S3Uploader,
        delivered: Callable[[], int],
        stop: Stop,
        metrics: Metrics,
    ) -> None:
        super().__init__(name="landing", daemon=True)
        self._journal = journal
        self._uploader = uploader
        self._delivered = delivered
        self._stop_requested = stop
        self._metrics = metrics
        self._retry_at = 0.0

    def run(self) -> None:
        while self._stop_requested.seconds_left():
            # In this order: a closed journal closes no more segments.
            is_closed = self._journal.is_closed
            self.follow()
            if is_closed and (not self._waiting() or self._is_away()):
                break
            time.sleep(min(LOOK_INTERVAL, self._stop_requested.seconds_left()))

    def follow(self) -> None:
        """One round. Packing first: it keeps the journal small while the store is away."""
        try:
            for segment in self._waiting():
                self._journal.pack(segment)
        except OSError as error:
            log.warning("packing failed reason=%r", str(error))
        for segment in self._waiting():
            if self._is_away():
                break
            if segment.is_packed:
                self._upload(segment)
        self.delete_taken()

    def delete_taken(self) -> None:
        """What both followers have."""
        for segment in self._journal.closed_segments():
            if segment.is_uploaded and segment.end <= self._delivered():
                self._journal.delete(segment)

    def items_waiting(self) -> int:
        """How many items are in no object, whether their segment is closed or not."""
        segments = self._journal.segments()
        return sum(each.end - each.first for each in segments if not each.is_uploaded)

    def oldest_waiting(self) -> int | None:
        """When the oldest item came that is closed and in no object; microseconds since the epoch."""
        return next((segment.received_at for segment in self._waiting()), None)

    def _is_away(self) -> bool:
        """The last upload failed just now."""
        return time.monotonic() < self._retry_at

    def _waiting(self) -> list[Segment]:
        return [each for each in self._journal.closed_segments() if not each.is_uploaded]

    def _upload(self, segment: Segment) -> None:
        try:
            self._uploader.upload(segment)
        except (BotoCoreError, ClientError, OSError) as error:
            self._metrics.upload_failures.inc()
            log.warning("upload failed retry_in=%g reason=%r", RETRY_INTERVAL, str(error))
            self._retry_at = time.monotonic() + RETRY_INTERVAL
        else:
            segment.is_uploaded = True
            self._metrics.uploads.inc()
