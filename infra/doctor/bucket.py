"""Check the object store: the connection, the bucket, its lifecycle rules, and rights."""

from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from core.settings import Settings
from infra.doctor.finding import Finding
from infra.doctor.target import Target
from infra.services import object_store

PREFIXES = ("landing/", "raw/", "tickers/")
STORE_IS_FULL = "XMinioStorageFull"


def connection(target: Target) -> Iterator[Finding]:
    """Connect and look for the bucket."""
    settings = target.settings
    try:
        object_store.client(settings).head_bucket(Bucket=settings.s3_bucket)
    except ClientError as error:
        yield _refused(target, int(error.response["ResponseMetadata"]["HTTPStatusCode"]))
    except NoCredentialsError:
        yield Finding(
            "no credentials for the object store were found",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run it with a profile or a role",
        )
    except BotoCoreError as error:
        yield _unavailable(target, str(error))


def _unavailable(target: Target, reason: str) -> Finding:
    return Finding(
        f"the object store at {target.settings.s3_endpoint_url} is unavailable: {reason}",
        target.remedy("minio", "S3_ENDPOINT_URL"),
    )


def _refused(target: Target, status: int) -> Finding:
    bucket = target.settings.s3_bucket
    if status == HTTPStatus.NOT_FOUND:
        return Finding(f"the bucket {bucket} does not exist", "make initialise creates it")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unavailable(target, f"HTTP {status}")
    return Finding(
        f"the object store refuses access to the bucket {bucket}: HTTP {status}",
        "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or grant their user the bucket",
    )


def lifecycle(settings: Settings) -> Iterator[Finding]:
    """Compare the lifecycle rules with those that `make initialise` sets."""
    existing = object_store.lifecycle_rules(object_store.client(settings), settings.s3_bucket)
    for rule in object_store.retention_rules(settings):
        if rule not in existing:
            yield Finding(
                f"the bucket {settings.s3_bucket} lacks the lifecycle rule {rule.get('ID')}, or it differs "
                "from the settings: objects are deleted too late, too early or never",
                "make initialise sets it",
            )


def rights(settings: Settings) -> Iterator[Finding]:
    """List each prefix; write, read and delete an object outside of them."""
    store, bucket = object_store.client(settings), settings.s3_bucket
    probe = f"doctor/{uuid4().hex}"
    write, read = f"write {probe}", f"read {probe}"
    requests: list[tuple[str, Callable[[], object]]] = [
        *(
            (f"list {each}", partial(store.list_objects_v2, Bucket=bucket, Prefix=each, MaxKeys=1))
            for each in PREFIXES
        ),
        (write, partial(store.put_object, Bucket=bucket, Key=probe, Body=b"probe")),
        (read, partial(store.get_object, Bucket=bucket, Key=probe)),
        (f"delete {probe}", partial(store.delete_object, Bucket=bucket, Key=probe)),
    ]
    refused: set[str] = set()
    for what, request in requests:
        if what == read and write in refused:
            continue
        try:
            request()
        except ClientError as error:
            refused.add(what)
            if (code := error.response["Error"]["Code"]) == STORE_IS_FULL:
                yield Finding(
                    f"can't {what} in the bucket {bucket}: the object store's disk is full",
                    "free space there; docs/monitoring.md, DiskFills, says how to find what takes it",
                )
                return
            yield Finding(
                f"may not {what} in the bucket {bucket}: {code}",
                "grant ListBucket, GetObject, PutObject and DeleteObject on the bucket",
            )
