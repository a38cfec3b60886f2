"""Test that keys are passed to an S3 client only if they are set."""

from pathlib import Path

import boto3
import pytest

from core.s3_client import client_arguments
from core.settings import Settings

ADDRESS = "https://s3.example.org"


def test_keys_and_token_are_passed_when_they_are_set() -> None:
    settings = Settings(
        s3_endpoint_url=ADDRESS,
        aws_access_key_id="me",
        aws_secret_access_key="secret",
        aws_session_token="token",
    )
    assert client_arguments(settings) == {
        "endpoint_url": ADDRESS,
        "aws_access_key_id": "me",
        "aws_secret_access_key": "secret",
        "aws_session_token": "token",
    }


def test_without_keys_the_client_finds_its_own_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(
        "[default]\naws_access_key_id = found\naws_secret_access_key = elsewhere\n"
        "aws_session_token = temporary\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        # As in a settings file that lists them without a value.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    # A new session: boto3's default one may have cached credentials.
    client = boto3.Session().client("s3", **client_arguments(Settings(s3_endpoint_url=ADDRESS)))
    url = client.generate_presigned_url("get_object", {"Bucket": "prices", "Key": "one"})
    assert url.startswith(f"{ADDRESS}/prices/one?AWSAccessKeyId=found&")
    assert "x-amz-security-token=temporary" in url
