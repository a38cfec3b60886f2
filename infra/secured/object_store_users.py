"""Create MinIO's users, each with the policy of its rights. Its admin API is not part of S3."""

from urllib.parse import urlsplit

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from urllib3 import PoolManager, Retry

from core.settings import Settings
from infra.secured.rights import s3_policy


def set_users(settings: Settings, passwords: dict[str, str]) -> None:
    """Create the users, or change their passwords and policies."""
    admin = MinioAdmin(
        endpoint=urlsplit(settings.s3_endpoint_url).netloc,
        credentials=StaticProvider(settings.aws_access_key_id, settings.aws_secret_access_key),
        http_client=PoolManager(ca_certs=settings.s3_ca_bundle, retries=Retry(total=5)),
    )
    for user, password in passwords.items():
        admin.user_add(user, password)
        admin.policy_add(user, policy=s3_policy(user, settings.s3_bucket))
        admin.policy_set(user, user=user)
