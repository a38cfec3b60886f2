"""Configure MinIO, the S3 store of the lake, and create its bucket and retention rules."""

import os
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.no_proxy import exempt_loopback
from core.s3_client import client_arguments
from core.settings import Settings
from infra.addresses import reachable_address
from infra.ports import s3_address
from infra.stack import Stack
from infra.supervision import write_environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.literals import BucketLocationConstraintType
    from mypy_boto3_s3.type_defs import LifecycleRuleOutputTypeDef, LifecycleRuleTypeDef

DEFAULT_REGION = "us-east-1"
"""The region of a store that has none, such as the local one."""


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of MinIO."""
    host, port = s3_address(settings)
    return {
        "MINIO_ADDRESS": reachable_address(host, port),
        "MINIO_CONSOLE_ADDRESS": reachable_address(host, settings.s3_console_port),
        "MINIO_ROOT_USER": settings.aws_access_key_id,
        "MINIO_ROOT_PASSWORD": settings.aws_secret_access_key,
        # Do not look for a newer version on the internet.
        "MINIO_UPDATE": "off",
    }


def prepare(stack: Stack) -> None:
    """Create the data folder, and the folder of certificates: empty in a stack without TLS.

    By default MinIO would use certificates in the home folder of whoever starts it.
    """
    (stack.folder / "minio").mkdir(parents=True, exist_ok=True)
    (stack.folder / "certificates" / "minio").mkdir(mode=0o700, parents=True, exist_ok=True)
    write_environment(stack, "minio", environment(stack.settings))


def client(settings: Settings, attempts: int = 1) -> "S3Client":
    """Return an S3 client that tries a request up to `attempts` times, with growing pauses.

    A store on loopback is reached without a proxy. Loopback is exempted here, because not every program
    that needs a client does so itself.
    """
    exempt_loopback(os.environ)
    return boto3.client(
        "s3",
        **client_arguments(settings),
        region_name=_region(),
        config=Config(
            connect_timeout=2,
            retries={"total_max_attempts": attempts},
            s3={"addressing_style": "path"},
        ),
    )


def storage_options(settings: Settings) -> dict[str, str]:
    """Return the options of delta-rs and polars. Without keys, they find credentials themselves.

    A store on loopback is reached without a proxy, as by `client`.
    """
    exempt_loopback(os.environ)
    options = {
        "AWS_ENDPOINT_URL": settings.s3_endpoint_url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": _region(),
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_SESSION_TOKEN": settings.aws_session_token,
    }
    return {name: value for name, value in options.items() if value}


def _region() -> str:
    """Return the region, which Amazon requires in each signature. boto3 reads the same variable."""
    return os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION


def is_ready(settings: Settings) -> bool:
    try:
        _has_bucket(client(settings), settings.s3_bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


def _has_bucket(store: "S3Client", bucket: str) -> bool:
    """Needs no right to list all buckets."""
    try:
        store.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def initialise(settings: Settings) -> None:
    """Create the bucket if it does not exist, and set the retention of landing/ and raw/."""
    store = client(settings)
    if not _has_bucket(store, settings.s3_bucket):
        # Another process may have created it since the check.
        with suppress(store.exceptions.BucketAlreadyOwnedByYou):
            _create_bucket(store, settings.s3_bucket)
    for rule in retention_rules(settings):
        retain(store, settings.s3_bucket, rule)


def _create_bucket(store: "S3Client", bucket: str) -> None:
    region = _region()
    if region == DEFAULT_REGION:
        # Amazon refuses it as a constraint.
        store.create_bucket(Bucket=bucket)
    else:
        constraint = cast("BucketLocationConstraintType", region)
        store.create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": constraint}
        )


def retention_rules(settings: Settings) -> "list[LifecycleRuleTypeDef]":
    """Return the lifecycle rules that delete the objects of landing/ and raw/ after their retention.

    tickers/ has no rule: only the table's log knows which of its files are obsolete.
    """
    days = {"landing": settings.landing_retention_days, "raw": settings.raw_retention_days}
    return [
        {
            "ID": f"{prefix}-retention",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{prefix}/"},
            "Expiration": {"Days": retention},
        }
        for prefix, retention in days.items()
    ]


def retain(store: "S3Client", bucket: str, rule: "LifecycleRuleTypeDef") -> None:
    """Set a lifecycle rule; keep other rules.

    S3's request replaces all rules of a bucket, so it contains the others too
    (docs.aws.amazon.com/AmazonS3/latest/API, PutBucketLifecycleConfiguration).
    """
    existing = lifecycle_rules(store, bucket)
    if rule not in existing:
        others = [each for each in existing if each.get("ID") != rule.get("ID")]
        store.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*others, rule]}
        )


def lifecycle_rules(store: "S3Client", bucket: str) -> "list[LifecycleRuleOutputTypeDef]":
    try:
        return store.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchLifecycleConfiguration":
            return []
        raise
