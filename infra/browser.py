"""Makes sure that a real browser is there for the tests of the page.

    python infra/browser.py

Takes the system's Chromium or Chrome; else Playwright's own; else, as root on Debian and its
kin, installs Debian's package. Exits 1 with what to install when none can be had.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of a browser that is installed, or None."""
    for name in SYSTEM_BROWSERS:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Tries what is possible here; says nothing of success, which `find` tells."""
    print("browser: installing Chromium for the tests of the page")
    commands = [["playwright", "install", "chromium"]]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        commands = [
            ["apt-get", "update", "--quiet"],
            ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "chromium"],
        ]
    for command in commands:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)


def main() -> int:
    if find() is None:
        install()
    if find() is None:
        sys.stderr.write("missing: a browser. On Debian: apt-get install chromium\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
