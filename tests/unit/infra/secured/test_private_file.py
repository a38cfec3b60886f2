"""Test that files with secrets are private, and that write_once keeps the first writer's text."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infra.secured.private_file import write_once, write_private


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_file_and_its_folder_are_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "login"
    write_private(path, "first")
    write_private(path, "second")
    assert (path.read_text(), mode(path), mode(path.parent)) == ("second", "0o600", "0o700")
    assert [*path.parent.iterdir()] == [path]


def test_all_writers_get_the_text_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "login"
    with ThreadPoolExecutor(8) as pool:
        found = {*pool.map(lambda number: write_once(path, f"text {number}"), range(50))}
    assert found == {path.read_text()}
    assert mode(path) == "0o600"
    assert [*path.parent.iterdir()] == [path]
