"""Ensure that a real browser is installed, for the tests of the web page.

    python infra/browser.py

Use the system's Chromium or Chrome, or Playwright's Chromium if the system has none. If neither is
installed, install one: Debian's package when running as root with apt-get, otherwise Playwright's. Chromium's
headless shell is preferred: it is the same browser without windows, and opens a page in half the time.
Exit 1 with a hint if no browser is installed afterwards.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SYSTEM_BROWSERS = (
    *("chromium-headless-shell", "chromium"),  # Debian's packages have the names of their programs.
    *("chromium-browser", "google-chrome", "google-chrome-stable"),
)


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
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        _run(sys.executable, "-m", "playwright", "install", "chromium")
        return
    _run("apt-get", "update", "--quiet")
    for package in SYSTEM_BROWSERS[:2]:
        if _run("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", package):
            return


def _run(*command: str) -> bool:
    """Return whether the command succeeded. Its errors appear on standard error."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def main() -> int:
    if find() is None:
        install()
    if find() is None:
        sys.stderr.write("missing: a browser. On Debian: apt-get install chromium-headless-shell\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
