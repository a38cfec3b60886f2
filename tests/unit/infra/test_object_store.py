from core.settings import Settings
from infra.services import object_store


def test_minio_listens_at_an_ipv6_address() -> None:
    settings = Settings(s3_endpoint_url="http://[::1]:9000", s3_console_port=9001)
    environment = object_store.environment(settings)
    assert environment["MINIO_ADDRESS"] == "[::1]:9000"
    assert environment["MINIO_CONSOLE_ADDRESS"] == "[::1]:9001"
