"""Read a landing archive from a folder or from a prefix of a bucket.

<root>/<exchange>/<yyyy>/<mm>/<dd>/<hh>/<time>-<journal>-<first>-<last>.jsonl.gz: within an exchange
the names sort by the objects' times.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from core.settings import Settings
from infra.services.object_store import client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUFFIX = ".jsonl.gz"
ATTEMPTS = 5
"""Attempts per request. boto3's growing pauses cover some seconds without the object store."""


class Landing(Protocol):
    def names(self, exchange: str) -> list[str]:
        """Return the names of the existing objects, unsorted. Raise OSError."""

    def read(self, name: str) -> bytes:
        """Return the whole object, still compressed: up to some 8 MB unpacked, as an extractor writes it.

        Raise OSError.
        """


@dataclass(frozen=True)
class Folder(Landing):
    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def names(self, exchange: str) -> list[str]:
        return [str(path) for path in (self.root / exchange).rglob(f"*{SUFFIX}")]

    def read(self, name: str) -> bytes:
        return Path(name).read_bytes()


@dataclass(frozen=True)
class Bucket(Landing):
    bucket: str
    prefix: str
    """Empty, or ends with a slash."""
    store: "S3Client" = field(repr=False)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def names(self, exchange: str) -> list[str]:
        pages = self.store.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=f"{self.prefix}{exchange}/"
        )
        try:
            keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
        except (BotoCoreError, ClientError) as error:
            raise OSError(f"{self}: {error}") from error
        return [key for key in keys if key.endswith(SUFFIX)]

    def read(self, name: str) -> bytes:
        try:
            return self.store.get_object(Bucket=self.bucket, Key=name)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise OSError(f"s3://{self.bucket}/{name}: {error}") from error


def landing_at(address: str, settings: Settings) -> Landing:
    """Return the archive at a folder or s3://bucket/prefix. Raise ValueError without a bucket."""
    url = urlsplit(address)
    if url.scheme != "s3":
        return Folder(Path(address))
    if not url.netloc:
        raise ValueError(f"{address}: expected s3://bucket/prefix")
    prefix = url.path.strip("/")
    return Bucket(url.netloc, f"{prefix}/" if prefix else "", client(settings, ATTEMPTS))
