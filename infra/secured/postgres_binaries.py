"""Unpack a Postgres with TLS: the binaries in the wheel of the plain stack are built without it."""

import io
import platform
import tarfile
import zipfile
from pathlib import Path

from infra import paths

PLATFORMS = {"x86_64": "linux-amd64", "aarch64": "linux-arm64v8"}
"""Names in the jars of infra/jars/postgres.xml."""


def unpack(folder: Path) -> None:
    """Unpack bin, lib and share into a new folder. Raise FileNotFoundError if the jar is missing."""
    name = PLATFORMS.get(platform.machine(), platform.machine())
    jar = next(paths.POSTGRES_JARS.glob(f"embedded-postgres-binaries-{name}-*.jar"), None)
    if jar is None:
        raise FileNotFoundError(
            f"no Postgres with TLS for {name}: make up SECURED=1 fetches it on "
            f"{' and '.join(PLATFORMS.values())}"
        )
    with zipfile.ZipFile(jar) as archive:
        (packed,) = (each for each in archive.namelist() if each.endswith(".txz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(packed))) as files:
            files.extractall(folder, filter="data")
