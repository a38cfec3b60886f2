"""Test in which folder stacks are stored, and who can enter it."""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from infra import paths
from infra.paths import others_can_enter, stack_dir


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that others can enter. pytest's `tmp_path` is below one that they can't."""
    with TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path.resolve()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o755, True), (0o711, True), (0o700, False), (0o750, False), (0o754, False)],
)
def test_others_enter_a_folder_by_its_execute_bit(folder: Path, mode: int, expected: bool) -> None:
    folder.chmod(mode)
    assert others_can_enter(folder) is expected


def test_others_cannot_enter_an_open_folder_below_a_closed_one(folder: Path) -> None:
    (folder / "home" / "project").mkdir(parents=True)
    assert others_can_enter(folder / "home" / "project")
    (folder / "home").chmod(0o700)
    assert not others_can_enter(folder / "home" / "project")


def test_folder_that_is_not_there_yet_is_as_open_as_what_it_will_lie_in(folder: Path) -> None:
    assert others_can_enter(folder / "not" / "yet")
    folder.chmod(0o700)
    assert not others_can_enter(folder / "not" / "yet")


def test_link_is_as_open_as_what_it_leads_to(folder: Path) -> None:
    (folder / "closed" / "open").mkdir(parents=True)
    (folder / "link").symlink_to(folder / "closed" / "open")
    assert others_can_enter(folder / "link")
    (folder / "closed").chmod(0o700)
    assert not others_can_enter(folder / "link")


def test_stack_dir_is_the_setting_when_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stack_dir("/srv/stacks") == Path("/srv/stacks")
    assert stack_dir("stacks/mine") == tmp_path / "stacks" / "mine"


@pytest.mark.parametrize(
    ("user", "mode"), [(0, 0o755), (1000, 0o755), (1000, 0o700)], ids=["root", "open", "closed"]
)
def test_stack_dir_is_in_the_project_when_whoever_runs_postgres_can_enter(
    folder: Path, monkeypatch: pytest.MonkeyPatch, user: int, mode: int
) -> None:
    folder.chmod(mode)
    monkeypatch.setattr(paths, "PROJECT", folder)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert stack_dir("") == folder / ".stack"


def test_stack_dir_of_root_in_a_closed_folder_is_one_below_var_lib_for_each_clone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for clone in (folder / "one", folder / "two"):
        monkeypatch.setattr(paths, "PROJECT", clone)
        name = sha256(str(clone).encode()).hexdigest()[:8]
        assert stack_dir("") == Path("/var/lib/cryptopricesrt") / name
