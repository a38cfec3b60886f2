"""Test what the local stack refuses before it starts any program."""

import os
from pathlib import Path

import pytest

from core.settings import STACK, Settings
from infra.stack import StackError, stack_of
from infra.up import services_up, up


def test_local_stack_refuses_properties_of_a_secure_kafka(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Postgres does not run here, so any user may own the folder.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    path = tmp_path / "client.properties"
    path.write_text("security.protocol=SSL\n")
    settings = Settings(stack_dir=str(tmp_path), kafka_client_properties=str(path))
    with pytest.raises(StackError) as refused:
        services_up(stack_of("demo", settings))
    assert str(refused.value) == (
        f"KAFKA_CLIENT_PROPERTIES={path}: the local stack's Kafka has neither TLS nor logins. "
        "Unset it, start a secured stack (SECURED=1), or use your services: make initialise"
    )
    assert [each.name for each in (tmp_path / "demo").iterdir()] == ["lock"]


def test_live_stack_refuses_the_addresses_of_a_shell_with_the_demos_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Postgres does not run here, so any user may own the folder.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    demo = stack_of("demo", Settings(stack_dir=str(tmp_path)))
    for name, value in demo.environment().items():
        monkeypatch.setenv(name, value)
    live = stack_of("live", Settings.from_environment(STACK))
    with pytest.raises(StackError, match=r"BINANCE_WS_URL=ws://127.*use another shell"):
        up(live)
    assert not (tmp_path / "live").exists()
