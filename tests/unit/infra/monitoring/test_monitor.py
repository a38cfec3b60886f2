"""Test what make monitor needs."""

from pathlib import Path

import pytest

from infra.monitoring import monitor
from infra.stack import StackError


def test_missing_programs_are_named_with_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError) as refused:
        monitor.refuse_missing()
    assert str(refused.value) == (
        "missing: prometheus and alertmanager. On Debian and Ubuntu: apt-get install "
        "--no-install-recommends prometheus prometheus-alertmanager, then systemctl disable --now "
        "prometheus prometheus-alertmanager, whose ports are also those of the stack"
    )


@pytest.mark.parametrize("name", ["alertmanager", "prometheus-alertmanager"])
def test_alertmanager_has_either_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in ("prometheus", name):
        (tmp_path / program).touch(mode=0o700)
    monitor.refuse_missing()
