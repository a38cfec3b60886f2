"""Write files that only their owner can read."""

import os
import tempfile
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a file with mode 0600 in one step. Create its folder with mode 0700 if it does not exist."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.replace(_written(path.parent, text), path)


def write_once(path: Path, text: str) -> str:
    """Write a file as `write_private` does, unless it exists. Return its text."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        written = _written(path.parent, text)
        try:
            # Unlike os.replace, this keeps a file that another process has written since.
            os.link(written, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(written)
    return path.read_text()


def _written(folder: Path, text: str) -> str:
    """Return the path of a new file, which mkstemp creates with mode 0600."""
    number, path = tempfile.mkstemp(dir=folder)
    with os.fdopen(number, "w") as file:
        file.write(text)
    return path
