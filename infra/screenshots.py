"""Take the README's screenshots of the page, from the running stack: make screenshots."""

import sys
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from core.settings import SERVER, Settings
from infra import browser as installed_browser

FOLDER = Path(__file__).parent.parent / "docs" / "images"

SETTLED_MILLISECONDS = 4_000
"""Time after the first rows until sparklines and chart are drawn and prices have moved."""


class Screenshot(NamedTuple):
    name: str
    address: str
    width: int
    height: int
    scheme: str


SCREENSHOTS = (
    Screenshot("markets", "#/", 1440, 900, "dark"),
    Screenshot("pair", "#/pair/BTC/USDT", 1440, 900, "light"),
    Screenshot("status", "#/status", 1440, 900, "dark"),
    Screenshot("phone", "#/", 390, 844, "light"),
)


def main() -> int:
    settings = Settings.from_environment(SERVER)
    path = installed_browser.find()
    if path is None:
        print("no browser: run make browser", file=sys.stderr)
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for screenshot in SCREENSHOTS:
            take(browser, f"http://127.0.0.1:{settings.server_port}/", screenshot)
    return 0


def take(browser: Browser, page_address: str, screenshot: Screenshot) -> None:
    page = browser.new_page(
        viewport={"width": screenshot.width, "height": screenshot.height},
        color_scheme="dark" if screenshot.scheme == "dark" else "light",
    )
    page.goto(page_address + screenshot.address)
    page.locator("#scroller tr[data-pair]").first.wait_for(state="attached")
    page.wait_for_timeout(SETTLED_MILLISECONDS)
    page.screenshot(path=FOLDER / f"{screenshot.name}.png")
    page.close()


if __name__ == "__main__":
    sys.exit(main())
