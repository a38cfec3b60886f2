"""Check this machine: ports that other programs hold, space and inodes of the stack's disk."""

import os
from collections.abc import Iterator
from pathlib import Path

from core.settings import Settings
from infra import paths, ports
from infra.doctor.finding import Finding
from infra.doctor.target import Target

LEAST_BYTES = 5 * 10**9
"""Minimum of free space: Kafka keeps up to 20 GB of a raw topic, and the journal fills during an outage."""

LEAST_INODES = 100_000
"""Minimum of free inodes: the journal, the bucket and Kafka have many files."""


def busy_ports(settings: Settings) -> Iterator[Finding]:
    """Find the ports of the local stack that are busy. It must be down, and its services too."""
    try:
        listed = [*ports.of_settings(settings)]
    except ports.PortError:
        return  # The services are elsewhere.
    try:
        busy = ports.busy_ports(iter(listed))
    except ports.PortError as error:
        yield Finding(str(error), "choose an address and a port on which this user may listen")
        return
    for each in busy:
        yield Finding(each.problem, each.remedy)


def disks(
    target: Target, least_bytes: int = LEAST_BYTES, least_inodes: int = LEAST_INODES
) -> Iterator[Finding]:
    """Check the disks of the stack's folder and of the journal."""
    state = target.stack.folder if target.stack else paths.stack_dir(target.settings.stack_dir)
    folders = {_existing(state), _existing(Path(target.settings.journal_dir).resolve())}
    other_disk = (
        f"move {target.stack.folder.parent} to another disk while the stack is down, and set STACK_DIR"
        if target.stack
        else "set STACK_DIR or JOURNAL_DIR to another disk"
    )
    disks = {folder.stat().st_dev: folder for folder in sorted(folders)}
    for folder in disks.values():
        disk = os.statvfs(folder)
        free = disk.f_bavail * disk.f_frsize
        if free < least_bytes:
            yield Finding(
                f"{free / 1e9:.1f} GB are free on the disk of {folder}, less than {least_bytes / 1e9:g}",
                f"free some space, lower retentions, or {other_disk}",
            )
        # Some file systems, such as btrfs, have no fixed number of inodes.
        if disk.f_files and disk.f_favail < least_inodes:
            yield Finding(
                f"{disk.f_favail} inodes are free on the disk of {folder}, less than {least_inodes}",
                f"delete small files, or {other_disk}",
            )


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest parent that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
