"""Write a small market to Postgres, and find its rows on the page."""

import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from playwright.sync_api import Locator, Page, Route, WebSocket

from core.settings import Settings
from tests.support.live_job import Ticker, list_instruments, ticker, write_batch

INSTRUMENTS = (
    ("binance", "BTCUSDT", "BTC", "USDT", "TRADING"),
    ("kucoin", "BTC-USDT", "BTC", "USDT", "TRADING"),
    ("binance", "ETHUSDT", "ETH", "USDT", "TRADING"),
    ("kucoin", "ETH-USDT", "ETH", "USDT", "TRADING"),
    ("binance", "ETHBTC", "ETH", "BTC", "TRADING"),
    ("binance", "WBTCUSDT", "WBTC", "USDT", "TRADING"),
    ("kucoin", "BCHSV-USDT", "BSV", "USDT", "TRADING"),
    ("binance", "币安人生USDT", "币安人生", "USDT", "TRADING"),
)

BY_VOLUME = ["BTC/USDT", "ETH/USDT", "ETH/BTC", "WBTC/USDT", "币安人生/USDT", "BSV/USDT"]
"""The pairs of `market`, as the table sorts them by default."""


def market(**columns: Any) -> list[Ticker]:
    """Return fresh tickers of all INSTRUMENTS; `columns` replaces some of each."""
    tickers = [
        quoted("binance", "BTCUSDT", "85439.99", open_24h="87210.01", quote_volume_24h="900000"),
        quoted("kucoin", "BTC-USDT", "85525.4", bid="85525.3", ask="85533.8"),
        quoted("binance", "ETHUSDT", "2000", open_24h="1900", quote_volume_24h="800000"),
        quoted("kucoin", "ETH-USDT", "2001", bid="2000.9", ask="2001.1"),
        quoted("binance", "ETHBTC", "0.0234", open_24h="0.0234", quote_volume_24h="8"),
        quoted("binance", "WBTCUSDT", "85400", open_24h="85400", quote_volume_24h="600000"),
        quoted("kucoin", "BCHSV-USDT", "34.2"),
        quoted(
            "binance", "币安人生USDT", "0.00000001", open_24h="0.00000002", quote_volume_24h="5"
        ),
    ]
    return [each | columns for each in tickers]


def quoted(exchange: str, symbol: str, price: str, **columns: Any) -> Ticker:
    """Return a ticker with the columns that the page shows."""
    shown = ("bid", "ask", "open_24h", "quote_volume_24h", "traded_at")
    return ticker(exchange, symbol, price, **dict.fromkeys(shown)) | columns


def write_market(database: Settings) -> None:
    """Replace all instruments and prices by those of `market`."""
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        with owner.cursor() as cursor:
            cursor.execute("TRUNCATE instruments, live_prices")
        list_instruments(owner, *INSTRUMENTS, seen_at=datetime(2026, 1, 1, tzinfo=UTC))
    write_batch(database.database_url, market())


def old(minutes: int = 10) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def row(page: Page, pair: str) -> Locator:
    """Return the row of a pair in the table of the markets."""
    return page.locator(f"#scroller tr[data-pair='{pair}']")


def cell(page: Page, pair: str, column: str) -> Locator:
    return row(page, pair).locator(f"td[data-column='{column}']")


def price(page: Page, pair: str, exchange: str) -> Locator:
    return cell(page, pair, f"price:{exchange}")


def names(page: Page) -> Locator:
    """Return the names of all rows, in their order."""
    return page.locator("#scroller tbody th")


def hash_of(page: Page) -> str:
    return page.url.partition("#")[2]


def exactly(text: str) -> re.Pattern[str]:
    return re.compile(f"^{re.escape(text)}$")


def read_often(page: Page) -> None:
    """Let the page read its feeds and last days twice a second instead of every 30 s or 5 minutes."""
    page.add_init_script(
        """const original = window.setInterval;
        window.setInterval = (action, delay) => original(action, delay >= 30000 ? 500 : delay);"""
    )


def let_read(page: Page, times: int = 1) -> None:
    """Wait until the page of read_often has read its feeds and last days, `times` in a row."""
    for _ in range(times):
        with (
            page.expect_response("**/api/feeds*") as feeds,
            page.expect_response("**/api/last-day") as days,
        ):
            pass
        feeds.value.finished()
        days.value.finished()


def let_draw(page: Page) -> None:
    """Wait until the page has drawn ten frames."""
    page.evaluate(
        """async () => {
            for (let frame = 0; frame < 10; frame += 1) await new Promise(requestAnimationFrame);
        }"""
    )


def write_price(database: Settings, socket: WebSocket, ticker: Ticker) -> None:
    """Write a price, and wait until the page has received it."""

    def has_price(frame: str | bytes) -> bool:
        prices = json.loads(frame).get("prices", [])
        return any(each["price"] == ticker["price"] for each in prices)

    with socket.expect_event("framereceived", has_price):
        write_batch(database.database_url, [ticker])


class HeldRequests:
    """Requests of a page to an address, which the test answers."""

    def __init__(self, page: Page, address: str | re.Pattern[str]) -> None:
        self.routes: list[Route] = []
        self._is_holding = True
        page.route(address, self._take)

    def let_later_ones_pass(self) -> None:
        self._is_holding = False

    def _take(self, route: Route) -> None:
        if self._is_holding:
            self.routes.append(route)
        else:
            route.continue_()
