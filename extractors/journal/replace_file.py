"""Replace a small file atomically: a crash leaves the old file or the new one."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, durably: bool = False) -> None:
    """Write the text. With `durably` it also survives a power failure. Raise OSError."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        file.write(text)
        if durably:
            file.flush()
            os.fsync(file.fileno())
    temporary.rename(path)
    if durably:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
