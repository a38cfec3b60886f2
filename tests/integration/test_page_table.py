"""The page's table of pairs, in a real Chromium: prices, order, filters, and what a visitor chooses."""

import itertools
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg2
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from core.settings import Settings
from infra.stack import Stack
from tests.support.live_job import list_instruments, write_batch
from tests.support.page import (
    BY_VOLUME,
    cell,
    exactly,
    hash_of,
    names,
    old,
    price,
    quoted,
    read_often,
    row,
    write_market,
)
from tests.support.server import ServerProcess
from tests.support.stacks import new_database
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(autouse=True)
def fresh_market(database: Settings) -> None:
    write_market(database)


def test_both_exchanges_are_side_by_side_and_move(
    database: Settings, server: ServerProcess, page: Page, console: list[str]
) -> None:
    page.goto(server.page)
    expect(price(page, "BTC/USDT", "binance")).to_have_text("85,439.99")
    expect(price(page, "BTC/USDT", "kucoin")).to_have_text("85,525.40")
    expect(cell(page, "BTC/USDT", "bid")).to_have_text("85,525.30")
    expect(cell(page, "BTC/USDT", "spread")).to_have_text("0.99")
    expect(cell(page, "BTC/USDT", "difference")).to_have_text("10.00")
    expect(cell(page, "BTC/USDT", "change")).to_have_text("\u22122.03 %")
    expect(cell(page, "BTC/USDT", "turnover")).to_have_text("900K USDT")
    expect(cell(page, "ETH/BTC", "turnover")).to_have_text("8.00 BTC")
    expect(cell(page, "ETH/BTC", "volume")).to_have_text("684K")

    write_batch(database.database_url, [quoted("binance", "BTCUSDT", "1234567.5")])

    expect(price(page, "BTC/USDT", "binance")).to_have_text("1,234,567.50")
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#feeds li").first).to_have_text(re.compile(r"^Binance \d s simulated$"))
    assert console == []


def test_no_digit_is_lost_and_decimals_stay(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    expect(price(page, "BSV/USDT", "kucoin")).to_have_text("34.2")
    for amount, shown in (
        ("85440.000000000000000001", "85,440.000000000000000001"),
        ("85441", "85,441.000000000000000000"),
    ):
        write_batch(database.database_url, [quoted("kucoin", "BCHSV-USDT", amount)])
        expect(price(page, "BSV/USDT", "kucoin")).to_have_text(shown)


def test_only_the_digits_that_changed_flash_in_their_direction(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    expect(price(page, "ETH/USDT", "kucoin")).to_have_text("2,001.0")
    moved = price(page, "ETH/USDT", "kucoin").locator(".moved")
    page.evaluate(
        """() => {
            window.flashes = [];
            new MutationObserver((records) => {
                for (const { target } of records) {
                    if (target.dataset.flash) window.flashes.push(target.dataset.flash + target.textContent);
                }
            }).observe(document.body, { subtree: true, attributeFilter: ["data-flash"] });
        }"""
    )
    write_batch(database.database_url, [quoted("kucoin", "ETH-USDT", "2001.5")])
    expect(moved).to_have_text("5")
    write_batch(database.database_url, [quoted("kucoin", "ETH-USDT", "2000.9")])
    expect(moved).to_have_text("0.9")
    assert page.evaluate("window.flashes") == ["up5", "down0.9"]
    expect(moved).not_to_have_attribute("data-flash", "down")


def test_a_row_that_shows_another_pair_does_not_keep_its_flash(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [quoted("kucoin", "ETH-USDT", "34.2")])
    page.goto(server.page)
    page.locator("#search").fill("ETH/USDT")
    expect(names(page)).to_have_text(["ETH/USDT"])
    expect(price(page, "ETH/USDT", "kucoin")).to_have_text("34.2")
    moved = page.locator("td[data-column='price:kucoin'] .moved")
    moved.evaluate("(digits) => { digits.dataset.flash = 'up'; }")
    page.locator("#search").fill("BSV/USDT")
    expect(names(page)).to_have_text(["BSV/USDT"])
    expect(price(page, "BSV/USDT", "kucoin")).to_have_text("34.2")
    expect(moved).not_to_have_attribute("data-flash", "up")


def test_figures_of_candles_are_marked(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """KuCoin's ticker has no 24-hour figures: they come from /api/last-day, which is read with the prices."""
    days = [
        {"exchange": "kucoin", "symbol": "BCHSV-USDT", "open": "30", "quote_volume": "5000"}
        | {"high": "35", "low": "30", "base_volume": "1", "closes": ["30", "31", "34"]}
    ]
    page.route("**/api/last-day", lambda route: route.fulfill(json={"days": days}))
    page.goto(server.page)
    change = cell(page, "BSV/USDT", "change")
    expect(change).to_have_text("+14.00 %")
    expect(change).to_have_attribute("data-candles", "true")
    expect(change).to_have_attribute(
        "title",
        "KuCoin, computed from the candles of the last 24 full hours, because its ticker lacks this figure",
    )
    expect(cell(page, "BSV/USDT", "volume")).to_have_text("5.00K")
    expect(row(page, "BSV/USDT").locator("polyline")).to_have_attribute(
        "points", "0.0,22.0 48.0,17.0 96.0,2.0"
    )
    expect(cell(page, "BTC/USDT", "change")).not_to_have_attribute("data-candles", "true")


def test_there_is_no_difference_to_a_stale_price_an_old_trade_or_another_coin(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    difference = cell(page, "BTC/USDT", "difference")
    for other, shown in (
        (quoted("kucoin", "BTC-USDT", "85439.99", received_at=old()), ""),
        (quoted("kucoin", "BTC-USDT", "85439.99"), "0.00"),
        (quoted("kucoin", "BTC-USDT", "85439.99", traded_at=old()), ""),
        (quoted("kucoin", "BTC-USDT", "85439.99"), "0.00"),
        (quoted("kucoin", "BTC-USDT", "60000"), ""),
    ):
        write_batch(database.database_url, [other])
        expect(difference).to_have_text(shown)


@pytest.mark.parametrize("width", [1440, 360])
def test_a_stale_price_is_grey_at_every_width(
    database: Settings, server: ServerProcess, page: Page, width: int
) -> None:
    write_batch(
        database.database_url,
        [
            quoted("kucoin", "ETH-USDT", "2001", received_at=old()),
            quoted("binance", "WBTCUSDT", "85400", received_at=old()),
        ],
    )
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(server.page)
    expect(row(page, "WBTC/USDT")).to_have_attribute("data-stale", "true")
    expect(row(page, "ETH/USDT")).to_have_attribute("data-stale", "false")
    colour = "element => getComputedStyle(element).color"
    bright = price(page, "ETH/USDT", "binance").evaluate(colour)
    assert price(page, "ETH/USDT", "kucoin").locator("span").first.evaluate(colour) != bright
    assert price(page, "WBTC/USDT", "binance").locator("span").first.evaluate(colour) != bright


def test_columns_sort_by_click_and_by_key_and_say_so(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    expect(names(page)).to_have_text(BY_VOLUME)
    volume = page.get_by_role("columnheader", name="Vol USDT")
    expect(volume).to_have_attribute("aria-sort", "descending")

    page.get_by_role("button", name="24 h", exact=True).click()
    change = page.get_by_role("columnheader", name="24 h", exact=True)
    expect(change).to_have_attribute("aria-sort", "descending")
    expect(volume).not_to_have_attribute("aria-sort", "descending")
    expect(names(page).first).to_have_text("ETH/USDT")
    assert hash_of(page) == "/?sort=-change"

    page.keyboard.press("Enter")
    expect(change).to_have_attribute("aria-sort", "ascending")
    expect(names(page).first).to_have_text("币安人生/USDT")
    # Pairs without a change are last in both directions.
    expect(names(page).last).to_have_text("BSV/USDT")


@pytest.mark.parametrize("text", ["btc_usdt", "BTC:USDT", "btc/usdt", " usdt  btc "])
def test_a_search_finds_a_pair_however_it_is_written(
    server: ServerProcess, page: Page, text: str
) -> None:
    page.goto(server.page)
    page.get_by_label("Search pairs").fill(text)
    expect(names(page)).to_have_text(["BTC/USDT", "WBTC/USDT"])
    expect(page.locator("#shown")).to_have_text("2 pairs")


def test_a_search_lists_matches_of_the_base_first(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    page.get_by_label("Search pairs").fill("btc*")
    expect(names(page)).to_have_text(["BTC/USDT", "WBTC/USDT", "ETH/BTC"])
    page.get_by_label("Search pairs").fill("bchsv")
    expect(names(page)).to_have_text(["BSV/USDT"])
    page.get_by_label("Search pairs").fill("nothing")
    expect(page.get_by_text("No pair matches.")).to_be_visible()
    page.get_by_role("link", name="Clear all filters").click()
    expect(names(page)).to_have_count(len(BY_VOLUME))


def test_exchanges_and_quotes_filter_and_have_an_address(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    page.get_by_role("group", name="Quote").get_by_role("button", name="BTC").click()
    expect(names(page)).to_have_text(["ETH/BTC"])
    assert hash_of(page) == "/?quote=BTC"
    page.get_by_role("group", name="Quote").get_by_role("button", name="All").click()
    page.get_by_role("group", name="Exchange").get_by_role("button", name="KuCoin").click()
    expect(names(page)).to_have_text(["BSV/USDT", "BTC/USDT", "ETH/USDT"])
    expect(page.get_by_role("columnheader", name="Binance")).to_have_count(0)

    page.go_back()
    expect(names(page)).to_have_count(len(BY_VOLUME))
    page.go_back()
    expect(names(page)).to_have_text(["ETH/BTC"])
    page.go_forward()
    page.go_forward()
    expect(names(page)).to_have_count(3)
    page.reload()
    expect(names(page)).to_have_count(3)


def test_favourites_stay_after_a_reload_and_filter(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    star = page.get_by_role("button", name="Favourite ETH/BTC")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Favourites", exact=True).click()
    expect(names(page)).to_have_text(["ETH/BTC"])
    assert hash_of(page) == "/?favourites=1"
    star.click()
    expect(names(page)).to_have_count(0)


def test_the_page_works_without_storage(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })"
    )
    page.goto(server.page)
    star = page.get_by_role("button", name="Favourite ETH/BTC")
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    assert console == []


def test_columns_and_density_can_be_chosen(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    height = "element => element.offsetHeight"
    assert row(page, "BTC/USDT").evaluate(height) == 40
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Spread bp").uncheck()
    expect(page.get_by_role("columnheader", name="Spread bp")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Compact").check()
    wait_for(lambda: row(page, "BTC/USDT").evaluate(height), lambda height: height == 28)

    page.reload()
    expect(price(page, "BTC/USDT", "binance")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Spread bp")).to_have_count(0)
    assert row(page, "BTC/USDT").evaluate(height) == 28


def focus_the_highest_price(database: Settings, server: ServerProcess, page: Page) -> None:
    """Write 200 pairs, sort them by price, and focus the first, S0199."""
    write_many(database)
    page.goto(f"{server.page}#/?sort=-price:binance")
    expect(names(page).first).to_have_text("S0199")
    page.keyboard.press("ArrowDown")
    expect(row(page, "S0199").get_by_role("link")).to_be_focused()


def test_rows_do_not_move_while_one_has_the_focus(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """Otherwise Enter or f hits another pair than the one that was read."""
    focus_the_highest_price(database, server, page)
    write_batch(database.database_url, [quoted("binance", "S0199", "1")])
    expect(price(page, "S0199", "binance")).to_have_text("1")
    page.wait_for_timeout(5000)
    expect(names(page).first).to_have_text("S0199")
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Favourite S0199")).to_have_attribute(
        "aria-pressed", "true"
    )
    page.locator("#search").focus()
    expect(names(page).first).to_have_text("S0198")


def test_a_focus_follows_its_pair_and_leaves_a_row_that_shows_another(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    focus_the_highest_price(database, server, page)
    write_batch(database.database_url, [quoted("binance", "S0199", "2000197.5")])
    expect(price(page, "S0199", "binance")).to_have_text("2,000,197.5")
    # Another filter sorts at once.
    page.evaluate("location.hash = '#/?sort=-price:binance&exchange=binance'")
    expect(names(page).nth(1)).to_have_text("S0199")
    expect(row(page, "S0199").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, "S0197").get_by_role("link")).to_be_focused()

    write_batch(database.database_url, [quoted("binance", "S0197", "1")])
    expect(price(page, "S0197", "binance")).to_have_text("1")
    page.evaluate("location.hash = '#/?sort=-price:binance'")
    expect(row(page, "S0197")).to_have_count(0)
    expect(page.locator("#scroller")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, "S0197").get_by_role("link")).to_be_focused()


def test_the_last_row_is_in_view_on_a_phone(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """Rows have another height there, which the table must compute with."""
    write_many(database)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.page}#/?sort=pair")
    expect(names(page).first).to_be_visible()
    page.locator("#scroller").focus()
    page.keyboard.press("End")
    expect(names(page).last).to_have_text("币安人生/USDT")
    expect(names(page).last).to_be_in_viewport(ratio=1)
    spacer = page.locator("#scroller tr.spacer").first.evaluate("each => each.offsetHeight")
    hidden = 206 - names(page).count()
    assert spacer == 44 * hidden


def test_of_two_thousand_pairs_only_the_visible_rows_exist(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(
        database.database_url,
        [quoted("binance", f"S{number:04}", "1") for number in range(2000)],
    )
    page.goto(f"{server.page}#/?sort=pair")
    expect(page.locator("#shown")).to_have_text("2,006 pairs")
    assert page.locator("#scroller tr[data-pair]").count() < 60
    expect(page.locator("#scroller table")).to_have_attribute("aria-rowcount", "2007")

    page.locator("#scroller").evaluate("element => element.scrollTo(0, 40 * 1003)")
    expect(row(page, "S1000")).to_be_in_viewport()
    expect(row(page, "S1000")).to_have_attribute("aria-rowindex", "1006")
    assert page.locator("#scroller tr[data-pair]").count() < 60

    page.locator("#scroller").focus()
    page.keyboard.press("End")
    expect(names(page).last).to_be_in_viewport()


def test_a_third_exchange_is_one_more_column(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    """The page learns the exchanges from the server, so an answer with one more is enough."""
    now = datetime.now(UTC).isoformat()
    feeds = [
        {"exchange": name, "title": title, "simulated": False}
        for name, title in (("binance", "Binance"), ("kucoin", "KuCoin"), ("kraken", "Kraken"))
    ]
    listed = [
        {
            "exchange": "kraken",
            "symbol": "XBT/USDT",
            "base": "BTC",
            "quote": "USDT",
            "status": "TRADING",
        },
        {
            "exchange": "binance",
            "symbol": "BTCUSDT",
            "base": "BTC",
            "quote": "USDT",
            "status": "TRADING",
        },
    ]
    page.route("**/api/feeds*", lambda route: route.fulfill(json={"feeds": feeds}))
    page.route("**/api/instruments", lambda route: route.fulfill(json={"instruments": listed}))
    page.route_web_socket(
        "**/ws*",
        lambda route: route.send(
            f'{{"type":"snapshot","id":"1","previous":null,"time":"{now}","prices":['
            + ",".join(
                f'{{"exchange":"{exchange}","symbol":"{symbol}","price":"{amount}","bid":null,"ask":null,'
                f'"open_24h":null,"quote_volume_24h":null,"traded_at":null,"received_at":"{now}"}}'
                for exchange, symbol, amount in (
                    ("kraken", "XBT/USDT", "101"),
                    ("binance", "BTCUSDT", "100"),
                )
            )
            + "]}"
        ),
    )
    page.goto(server.page)
    expect(price(page, "BTC/USDT", "kraken")).to_have_text("101")
    expect(price(page, "BTC/USDT", "binance")).to_have_text("100")
    expect(price(page, "BTC/USDT", "kucoin")).to_have_text("")
    expect(cell(page, "BTC/USDT", "difference")).to_have_text("100")
    expect(page.get_by_role("button", name="Kraken", exact=True).first).to_be_visible()
    assert console == []


def test_a_pair_that_is_listed_later_gets_its_base_and_quote(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [quoted("binance", "NEWUSDT", "1")])
    page.goto(server.page)
    expect(row(page, "NEWUSDT")).to_be_visible()
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        list_instruments(owner, ("binance", "NEWUSDT", "NEW", "USDT", "TRADING"))
    expect(row(page, "NEW/USDT")).to_be_visible()
    expect(row(page, "NEWUSDT")).to_have_count(0)


def test_base_and_quote_are_read_as_one_name_but_isolated_from_each_other(
    server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    header = row(page, "币安人生/USDT").get_by_role("rowheader")
    expect(header).to_have_accessible_name("币安人生/USDT")
    expect(header.locator("bdi")).to_have_text(["币安人生", "USDT"])


def test_rows_do_not_move_while_the_pointer_moves_over_them(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    read_often(page)
    page.goto(f"{server.page}#/?sort=-price:binance")
    expect(names(page).first).to_have_text("BTC/USDT")
    # The page itself sends the moves: on a busy machine, the test's may come seconds apart.
    page.evaluate(
        """() => {
            const pointed = document.querySelector("#scroller tr[data-pair] th");
            const move = () => pointed.dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
            move();
            window.moving = setInterval(move, 50);
        }"""
    )
    write_batch(database.database_url, [quoted("binance", "ETHUSDT", "99999")])
    expect(price(page, "ETH/USDT", "binance")).to_have_text("99,999.0")
    page.wait_for_timeout(5000)
    assert names(page).first.text_content() == "BTC/USDT"
    page.evaluate("clearInterval(window.moving)")
    # The pointer rests, so the order follows.
    expect(names(page).first).to_have_text("ETH/USDT")


def test_a_favourite_that_is_removed_from_its_list_leaves_the_focus_on_no_other(
    server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    for pair in ("BTC/USDT", "ETH/USDT"):
        page.get_by_role("button", name=f"Favourite {pair}").click()
    page.get_by_role("button", name="Favourites", exact=True).click()
    expect(names(page)).to_have_text(["BTC/USDT", "ETH/USDT"])
    page.locator("#scroller").focus()
    page.keyboard.press("Home")
    for _ in range(2):
        page.keyboard.press("f")
    expect(names(page)).to_have_text(["ETH/USDT"])
    page.keyboard.press("ArrowDown")
    expect(row(page, "ETH/USDT").get_by_role("link")).to_be_focused()


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("density", ["comfortable", "compact"])
def test_all_rows_have_the_same_height(
    database: Settings, server: ServerProcess, page: Page, width: int, density: str
) -> None:
    with closing(psycopg2.connect(database.database_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute("UPDATE instruments SET status = 'BREAK' WHERE symbol = 'WBTCUSDT'")
    page.set_viewport_size({"width": width, "height": 844})
    page.add_init_script(
        f"localStorage.setItem('live-crypto-prices', JSON.stringify({{ density: '{density}' }}))"
    )
    page.goto(server.page)
    expect(row(page, "WBTC/USDT").locator(".tag")).to_have_text("halted")
    heights = page.locator("#scroller tr[data-pair]").evaluate_all(
        "rows => rows.map((each) => each.offsetHeight)"
    )
    expected = 44 if width == 390 else {"comfortable": 40, "compact": 28}[density]
    assert set(heights) == {expected}


def test_pair_is_no_longer_halted_once_another_exchange_trades_it(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    with closing(psycopg2.connect(database.database_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute("UPDATE instruments SET status = 'BREAK' WHERE symbol = 'WBTCUSDT'")
        list_instruments(owner, ("kucoin", "WBTC-USDT", "WBTC", "USDT", "TRADING"))
    page.goto(server.page)
    tag = row(page, "WBTC/USDT").locator(".tag")
    expect(tag).to_have_text("halted")
    write_batch(database.database_url, [quoted("kucoin", "WBTC-USDT", "85401")])
    expect(price(page, "WBTC/USDT", "kucoin")).to_have_text("85,401")
    expect(tag).to_have_count(0)


def test_instruments_that_could_not_be_read_are_read_again(
    server: ServerProcess, page: Page
) -> None:
    price = (
        '{"exchange":"binance","symbol":"NEWUSDT","price":"1","bid":null,"ask":null,"open_24h":null,'
        '"quote_volume_24h":null,"traded_at":null,"received_at":"2026-11-27T11:59:59Z"}'
    )
    listed = [
        {
            "exchange": "binance",
            "symbol": "NEWUSDT",
            "base": "NEW",
            "quote": "USDT",
            "status": "TRADING",
        }
    ]
    answers: Iterator[dict[str, Any]] = itertools.chain(
        [{"json": {"instruments": []}}, {"status": 503}],
        itertools.repeat({"json": {"instruments": listed}}),
    )
    sockets: list[WebSocketRoute] = []

    def snapshot(socket: WebSocketRoute, number: int) -> None:
        socket.send(
            f'{{"type":"snapshot","id":"{number}","previous":null,"time":"2026-11-27T12:00:00Z",'
            f'"prices":[{price}]}}'
        )

    def opened(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        snapshot(socket, 1)

    read_often(page)
    page.route("**/api/instruments", lambda route: route.fulfill(**next(answers)))
    page.route_web_socket("**/ws*", opened)
    page.goto(server.page)
    expect(row(page, "NEWUSDT")).to_be_visible()
    snapshot(sockets[0], 2)
    expect(row(page, "NEW/USDT")).to_be_visible()


def test_nothing_moves_while_the_page_loads(server: ServerProcess, page: Page) -> None:
    page.add_init_script(
        """window.shift = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({ type: "layout-shift", buffered: true });"""
    )
    page.goto(server.page)
    expect(price(page, "BTC/USDT", "kucoin")).to_have_text("85,525.40")
    page.wait_for_timeout(1500)
    assert page.evaluate("window.shift") < 0.05


@pytest.mark.parametrize("width", [360, 768, 1024])
def test_no_width_scrolls_sideways(
    database: Settings, server: ServerProcess, page: Page, width: int
) -> None:
    long = quoted("binance", "WBTCUSDT", "12345678901234567890.123456789012345678")
    write_batch(database.database_url, [long])
    page.set_viewport_size({"width": width, "height": 740})
    page.goto(server.page)
    expect(price(page, "WBTC/USDT", "binance")).to_have_text(
        exactly("12,345,678,901,234,567,890.123456789012345678")
    )
    expect(page.get_by_role("columnheader", name="24 h", exact=True)).to_be_in_viewport(ratio=1)
    occupied = partial(page.evaluate, "document.documentElement.scrollWidth")
    assert occupied() == width
    for view, content in (
        ("#/compare", "#compare tbody tr"),
        ("#/movers", "#movers tbody tr"),
        ("#/status", "#status figure"),
        ("#/pair/BTC/USDT", "#panel .chart canvas"),
    ):
        page.goto(server.page + view)
        expect(page.locator(content).first).to_be_visible()
        assert occupied() == width


def write_many(database: Settings) -> None:
    """Add 200 symbols, of which the last one has the largest price of all."""
    write_batch(
        database.database_url,
        [quoted("binance", f"S{number:04}", f"{2000000 + number}.0") for number in range(200)],
    )
