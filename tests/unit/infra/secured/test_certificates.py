"""Test which keytool creates the truststore, and the error if it is missing."""

import shutil
from pathlib import Path

import pytest

from infra.secured.certificates import Authority, CertificateError

KEYTOOL = """#!/bin/sh
echo "$@" > {arguments}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH on which openssl is the only program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl is not installed"
    (folder / "openssl").symlink_to(openssl)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_keytool_of_java_home_is_used_though_path_has_none(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = tmp_path / "arguments"
    keytool = tmp_path / "jdk" / "bin" / "keytool"
    keytool.parent.mkdir(parents=True)
    keytool.write_text(KEYTOOL.format(arguments=arguments))
    keytool.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    store = Authority(tmp_path / "certificates").truststore()
    assert f"-importcert -noprompt -alias authority -storetype PKCS12 -file {tmp_path}" in (
        arguments.read_text()
    )
    assert f"-keystore {store}" in arguments.read_text()


def test_missing_keytool_is_named_with_its_package(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "certificates")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(CertificateError) as on_path:
        authority.truststore()
    remedy = "is not installed. On Debian: apt-get install openjdk-17-jre-headless"
    assert str(on_path.value) == f"keytool {remedy}"
    monkeypatch.setenv("JAVA_HOME", "/no/such/jdk")
    with pytest.raises(CertificateError) as in_home:
        authority.truststore()
    assert str(in_home.value) == f"/no/such/jdk/bin/keytool {remedy}"
