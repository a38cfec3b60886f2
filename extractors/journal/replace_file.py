"""Replace a small file as a whole: a crash leaves the old one or the new one."""

import os
from pathlib import Path


def replace_file(path: Path, text: str, *, durably: bool = False) -> None:
    """Write the text, `durably` so that a power failure leaves it, too. Raise OSError."""
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
