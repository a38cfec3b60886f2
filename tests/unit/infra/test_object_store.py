"""Test MinIO's addresses, and what commands say of a store that fails."""

import pytest

from core.settings import Settings
from infra.__main__ import store_errors
from infra.ports import free_ports
from infra.services import object_store
from infra.stack import StackError


def test_minio_listens_at_an_ipv6_address() -> None:
    settings = Settings(s3_endpoint_url="http://[::1]:9000", s3_console_port=9001)
    environment = object_store.environment(settings)
    assert environment["MINIO_ADDRESS"] == "[::1]:9000"
    assert environment["MINIO_CONSOLE_ADDRESS"] == "[::1]:9001"


def test_command_ends_with_the_reason_why_the_store_fails() -> None:
    (port,) = free_ports(1)
    settings = Settings(
        s3_endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="me",
        aws_secret_access_key="secret",
    )
    store = object_store.client(settings)
    with pytest.raises(StackError, match=r"^the object store failed: "), store_errors():
        store.list_buckets()
