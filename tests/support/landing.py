"""Read `landing/` with general tools: objects by boto3, lines by gzip and json."""

import gzip
import json
from typing import Any

import boto3

from core.settings import Settings


class Landing:
    """Objects added to an exchange's folder since this object was created."""

    def __init__(self, settings: Settings, exchange: str) -> None:
        self._s3 = boto3.client(
            "s3",
            endpoint_url=settings.s3_endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
        )
        self._bucket = settings.s3_bucket
        self._prefix = f"landing/{exchange}/"
        self._before = set(self._keys())

    def _keys(self) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def keys(self) -> list[str]:
        return [key for key in self._keys() if key not in self._before]

    def versions(self) -> list[tuple[str, str]]:
        """Return key and time of the last change of each object."""
        heads = {key: self._s3.head_object(Bucket=self._bucket, Key=key) for key in self.keys()}
        return [(key, str(head["LastModified"])) for key, head in heads.items()]

    def items(self) -> list[dict[str, Any]]:
        """Return all items, in the order of the objects' names."""
        bodies = (self._s3.get_object(Bucket=self._bucket, Key=key)["Body"] for key in self.keys())
        return [
            json.loads(line)
            for body in bodies
            for line in gzip.decompress(body.read()).splitlines()
        ]
