"""MinIO: the S3 that the lake lies on, with its console."""

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from mypy_boto3_s3 import S3Client

from core.settings import Settings
from infra.ports import s3_address
from infra.stack import Stack


def environment(settings: Settings) -> dict[str, str]:
    """What the program minio in supervisord.conf is told."""
    host, port = s3_address(settings)
    return {
        "MINIO_ADDRESS": f"{host}:{port}",
        "MINIO_CONSOLE_ADDRESS": f"{host}:{settings.s3_console_port}",
        "MINIO_ROOT_USER": settings.aws_access_key_id,
        "MINIO_ROOT_PASSWORD": settings.aws_secret_access_key,
        # It would ask the internet for a newer version.
        "MINIO_UPDATE": "off",
    }


def prepare(stack: Stack) -> None:
    (stack.folder / "minio").mkdir(parents=True, exist_ok=True)


def client(settings: Settings) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key,
        region_name="us-east-1",
        config=Config(
            connect_timeout=2,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
        ),
    )


def is_ready(settings: Settings) -> bool:
    try:
        client(settings).list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def initialise(settings: Settings) -> None:
    """Creates the bucket when it is not there yet."""
    store = client(settings)
    if settings.s3_bucket not in {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}:
        store.create_bucket(Bucket=settings.s3_bucket)
