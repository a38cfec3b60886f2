"""Test which settings a feed's stack changes, and that a shell gets all values intact."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from core.settings import STACK, Settings
from infra.stack import StackError, delete, stack_of

# The folder need not exist: a stack creates it when it starts.
BASE = Path("/nowhere/stacks")
SETTINGS = Settings(stack_dir=str(BASE), exchange_port=8091, s3_bucket="prices")


def test_demo_takes_the_replay_exchange_and_leaves_the_rest() -> None:
    stack = stack_of("demo", SETTINGS)
    assert stack.folder == BASE / "demo"
    assert stack.log_folder == BASE / "demo" / "logs"
    assert stack.settings == replace(
        SETTINGS.with_all_exchanges_at("127.0.0.1:8091"),
        aws_access_key_id="admin",
        aws_secret_access_key="password123",
        checkpoint_dir=str(BASE / "demo" / "checkpoints"),
        journal_dir=str(BASE / "demo" / "journal"),
    )


def test_live_takes_the_exchanges_that_the_settings_name() -> None:
    stack = stack_of("live", SETTINGS)
    assert stack.folder == BASE / "live"
    folder = BASE / "live"
    assert stack.settings == replace(
        SETTINGS,
        aws_access_key_id="admin",
        aws_secret_access_key="password123",
        checkpoint_dir=str(folder / "checkpoints"),
        journal_dir=str(folder / "journal"),
    )


def test_local_store_keeps_the_keys_that_are_set_but_knows_no_token_of_another() -> None:
    keys = replace(SETTINGS, aws_access_key_id="me", aws_secret_access_key="secret")
    stack = stack_of("live", replace(keys, aws_session_token="token"))
    assert stack.settings.aws_access_key_id == "me"
    assert stack.settings.aws_secret_access_key == "secret"
    assert stack.settings.aws_session_token == ""


def test_shell_with_the_stacks_environment_finds_the_same_stack_from_any_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir("/")
    stack = stack_of("demo", replace(SETTINGS, stack_dir="nowhere/stacks"))
    monkeypatch.chdir("/usr")
    assert stack_of("demo", Settings.from_environment(STACK, stack.environment())) == stack


def test_root_is_refused_a_folder_that_postgres_cannot_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StackError) as refused:
        stack_of("live", replace(SETTINGS, stack_dir=str(tmp_path)))
    assert str(refused.value) == (
        f"STACK_DIR={tmp_path}: Postgres refuses to run as root, and the user nobody, who runs it "
        "instead, can't enter this folder. Leave STACK_DIR empty, or choose another"
    )


def test_shell_that_evaluates_the_exports_has_every_value_as_it_is() -> None:
    password = 'it\'s "a" $HOME `id` \\ 100% * #1;\nand more '
    keys = replace(SETTINGS, aws_access_key_id="me", aws_secret_access_key=password)
    stack = stack_of("demo", keys)
    path = "/usr/bin:/bin:/opt/a b"

    done = subprocess.run(
        ["sh", "-c", 'eval "$1"; env -0', "sh", stack.exports()],
        env={"PATH": path, "AWS_SESSION_TOKEN": "of another store"},
        capture_output=True,
        text=True,
        check=True,
    )

    actual = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    expected = stack.environment()
    assert {name: actual.get(name, "") for name in expected} == expected
    assert "AWS_SESSION_TOKEN" not in actual
    assert actual["AWS_SECRET_ACCESS_KEY"] == password
    first, *between, last = actual["PATH"].split(":")
    assert (Path(first) / "pytest").exists()
    assert between == path.split(":")
    assert last == str(stack.postgres_bin)


def test_what_is_deleted_is_the_feeds_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Postgres does not run here, so any user may own the folder.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    settings = replace(SETTINGS, stack_dir=str(tmp_path))
    for feed in ("live", "demo"):
        (tmp_path / feed / "logs").mkdir(parents=True)
    delete(stack_of("demo", settings))
    assert list(tmp_path.iterdir()) == [tmp_path / "live"]
