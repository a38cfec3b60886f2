"""Ensure that a real browser is installed, for the tests of the web page.

    python infra/browser.py

Use the system's Chromium or Chrome, or Playwright's Chromium if the system has none. If neither is
installed, install one: Debian's package when running as root with apt-get, otherwise Playwright's.
Exit 1 with a hint if no browser is installed afterwards.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """Return the path of an installed browser, or None."""
    for name in SYSTEM_BROWSERS:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def install() -> None:
    """Try to install a browser. Errors are ignored: call `find` to check."""
    print("browser: installing Chromium for the tests of the web page")
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
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
