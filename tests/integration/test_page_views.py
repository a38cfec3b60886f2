"""Compare, Movers and Status, addresses, keyboard, options and accessibility, in a real Chromium."""

import csv
import io
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psycopg2
import pytest
import requests
from playwright.sync_api import Page, expect

from core.settings import Settings
from infra.paths import TOOLS
from infra.stack import Stack
from tests.support.live_job import insert, list_instruments, write_batch
from tests.support.page import (
    HeldRequests,
    hash_of,
    let_draw,
    let_read,
    names,
    price,
    quoted,
    read_often,
    row,
    write_market,
    write_price,
)
from tests.support.server import DEADLINE, ServerProcess
from tests.support.stacks import new_database

AXE = TOOLS / "page_tools" / "node_modules" / "axe-core" / "axe.min.js"

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

VIEWS = ("#/", "#/compare", "#/movers", "#/status", "#/pair/BTC/USDT")


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    return new_database(stack)


@pytest.fixture(autouse=True)
def fresh_market(database: Settings) -> None:
    write_market(database)


def test_compare_lists_the_largest_difference_first_and_no_other_coin(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(f"{server.page}#/compare")
    rows = page.locator("#compare tbody tr")
    expect(rows.locator("th")).to_have_text(["BTC/USDT", "ETH/USDT"])
    expect(rows.first.get_by_role("cell")).to_have_text(
        ["10.0 bp", re.compile(r"^85,439.99 \d+ s$"), re.compile(r"^85,525.40 \d+ s$")]
    )
    write_batch(database.database_url, [quoted("kucoin", "ETH-USDT", "2010")])
    expect(rows.locator("th")).to_have_text(["ETH/USDT", "BTC/USDT"])
    write_batch(database.database_url, [quoted("kucoin", "ETH-USDT", "3000")])
    expect(rows.locator("th")).to_have_text(["BTC/USDT"])
    expect(page.get_by_text("1 more is over 20 % apart")).to_be_visible()

    rows.first.get_by_role("link").click()
    expect(page.get_by_role("complementary", name="BTC/USDT")).to_be_visible()
    page.keyboard.press("Escape")
    assert hash_of(page) == "/compare"
    page.get_by_role("button", name="BTC", exact=True).click()
    expect(rows).to_have_count(0)
    assert hash_of(page) == "/compare?quote=BTC"


@pytest.mark.parametrize(
    ("view", "path", "older"),
    [("compare", "compare?quote=USDT", {"pairs": []}), ("status", "status", None)],
)
def test_an_older_answer_is_not_shown_over_a_newer_one(
    server: ServerProcess, page: Page, view: str, path: str, older: dict[str, Any] | None
) -> None:
    held = HeldRequests(page, f"**/api/{path}")
    with page.expect_request(f"**/api/{path}"):
        page.goto(f"{server.page}#/{view}")
    said = page.locator(f"#{view} .said")
    expect(said).to_have_text("Loading")
    held.let_later_ones_pass()
    read_again(page, view)
    newer = re.compile(r"^(As of|2 pairs)")
    expect(said).to_have_text(newer)
    page.evaluate(
        """said => {
            window.said = [];
            new MutationObserver(() => window.said.push(said.textContent))
                .observe(said, { characterData: true, childList: true, subtree: true });
        }""",
        said.element_handle(),
    )
    for route in held.routes:
        route.fulfill(json=older, status=200 if older else 503)
    # The next answer is drawn after the older one.
    with page.expect_response(f"**/api/{path}"):
        read_again(page, view)
    expect(said).to_have_text(newer)
    assert all(newer.match(each) for each in page.evaluate("window.said"))


def read_again(page: Page, view: str) -> None:
    """Show another view, then this one, which is therefore read at once."""
    for other in ("movers", view):
        page.evaluate(f"location.hash = '#/{other}'")
        expect(page.locator(f"#{other}")).to_be_visible()


def test_movers_lists_gainers_losers_and_volume(server: ServerProcess, page: Page) -> None:
    page.goto(f"{server.page}#/movers?quote=USDT")
    expect(page.get_by_role("region", name="Gainers").locator("tbody th")).to_have_text(
        ["ETH/USDT"]
    )
    expect(page.get_by_role("region", name="Losers").locator("tbody th")).to_have_text(["BTC/USDT"])
    volume = page.get_by_role("region", name="Volume").locator("tbody th")
    expect(volume).to_have_text(["BTC/USDT", "ETH/USDT", "WBTC/USDT"])


def test_a_rare_quote_that_was_chosen_can_be_released_in_movers(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_quotes(database)
    page.goto(server.page)
    page.get_by_label("More quotes").select_option("ZAR")
    page.keyboard.press("3")
    rare = page.get_by_role("region", name="Movers", exact=True).get_by_role("button", name="ZAR")
    expect(rare).to_have_attribute("aria-pressed", "true")
    rare.click()
    assert hash_of(page) == "/movers"


def test_status_shows_feeds_batches_dead_letters_and_tables(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    now = datetime.now(UTC)
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        interruption = (
            "kucoin",
            None,
            "interruption",
            "silence",
            now - timedelta(hours=2),
            now - HOUR,
            0,
        )
        insert(owner, "INSERT INTO feed_events VALUES %s", [interruption])
    write_batch(database.database_url, [quoted("binance", "BTCUSDT", "85439.99")], age=MINUTE)
    page.goto(f"{server.page}#/status")
    kucoin = page.locator("#status [data-exchange=kucoin]")
    expect(kucoin.get_by_role("heading")).to_have_text("KuCoin simulated")
    expect(kucoin.get_by_role("row").nth(1).get_by_role("cell")).to_have_text(
        ["1 h", "silence", "not filled"]
    )
    expect(kucoin.locator(".mark")).to_have_attribute("width", re.compile(r"^41\.6"))
    expect(page.locator("#status [data-exchange=binance]")).to_contain_text(
        "No interruption in the last 24 hours."
    )
    expect(page.locator("#status figure").first).to_contain_text("Rows a minute")
    expect(page.locator("#status")).to_contain_text("None: everything could be read.")
    expect(page.get_by_role("rowheader", name="live_prices")).to_be_visible()


def test_views_have_addresses_and_the_browser_goes_back_and_forward(
    server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    for name in ("Compare", "Movers", "Status"):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.get_by_role("region", name=name, exact=True)).to_be_visible()
        expect(page.get_by_role("link", name=name)).to_have_attribute("aria-current", "page")
    page.go_back()
    expect(page.get_by_role("region", name="Movers", exact=True)).to_be_visible()
    page.reload()
    expect(page.get_by_role("region", name="Movers", exact=True)).to_be_visible()
    page.go_forward()
    expect(page.get_by_role("region", name="Status", exact=True)).to_be_visible()


def test_the_key_of_the_search_closes_a_pair_that_covers_the_table(
    server: ServerProcess, page: Page
) -> None:
    page.set_viewport_size({"width": 700, "height": 900})
    page.goto(f"{server.page}#/pair/BTC/USDT")
    panel = page.get_by_role("complementary")
    expect(panel).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("/")
    expect(panel).to_be_hidden()
    expect(page.get_by_label("Search pairs")).to_be_focused()


def test_keys_change_the_view_and_search_and_show_and_close_the_list_of_keys(
    server: ServerProcess, page: Page
) -> None:
    page.goto(server.page)
    expect(names(page).first).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("region", name="Movers", exact=True)).to_be_visible()
    page.keyboard.press("/")
    search = page.get_by_label("Search pairs")
    expect(search).to_be_focused()
    page.keyboard.type("wbtc")
    expect(names(page)).to_have_text(["WBTC/USDT"])
    page.keyboard.press("ArrowDown")
    expect(row(page, "WBTC/USDT").get_by_role("link")).to_be_focused()
    page.keyboard.press("f")
    expect(page.get_by_role("button", name="Favourite WBTC/USDT")).to_have_attribute(
        "aria-pressed", "true"
    )
    search.focus()
    page.keyboard.press("Escape")
    expect(search).to_have_value("")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)


def test_f_without_an_open_pair_keeps_the_favourites(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    star = page.get_by_role("button", name="Favourite ETH/BTC")
    star.click()
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("f")
    page.reload()
    expect(star).to_have_attribute("aria-pressed", "true")


def test_the_star_of_a_pair_is_the_same_in_table_and_panel(
    server: ServerProcess, page: Page
) -> None:
    page.goto(f"{server.page}#/pair/BTC/USDT")
    stars = page.get_by_role("button", name="Favourite BTC/USDT")
    expect(stars).to_have_count(2)
    for pressed in ("true", "false"):
        page.keyboard.press("f")
        expect(stars.first).to_have_attribute("aria-pressed", pressed)
        expect(stars.last).to_have_attribute("aria-pressed", pressed)
    stars.first.click()
    expect(stars.last).to_have_attribute("aria-pressed", "true")


def test_two_tabs_share_their_choices(server: ServerProcess, page: Page) -> None:
    other = page.context.new_page()
    for tab in (page, other):
        tab.goto(server.page)
        expect(names(tab).first).to_be_visible()
    page.get_by_role("button", name="Favourite ETH/BTC").click()
    # Tabs in two processes have the storage in common only after some time.
    expect(other.get_by_role("button", name="Favourite ETH/BTC")).to_have_attribute(
        "aria-pressed", "true"
    )
    other.get_by_role("button", name="Favourite BTC/USDT").click()
    other.get_by_role("button", name="Options").click()
    other.get_by_label("Dark").check()
    other.keyboard.press("Escape")
    other.get_by_role("button", name="Columns").click()
    other.get_by_label("Spread bp").uncheck()
    for tab in (page, other):
        for pair in ("ETH/BTC", "BTC/USDT"):
            expect(tab.get_by_role("button", name=f"Favourite {pair}")).to_have_attribute(
                "aria-pressed", "true"
            )
        expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
        expect(tab.get_by_role("columnheader", name="Spread bp")).to_have_count(0)
    page.get_by_role("button", name="Options").click()
    expect(page.get_by_label("Dark")).to_be_checked()


def test_a_pause_holds_the_differences_too(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """Feeds and last days are read during a pause, which must not draw the view again."""
    read_often(page)
    with page.expect_websocket() as socket:
        page.goto(f"{server.page}#/compare")
    rows = page.locator("#compare tbody tr")
    expect(rows.locator("th")).to_have_text(["BTC/USDT", "ETH/USDT"])
    page.keyboard.press("p")
    write_price(database, socket.value, quoted("kucoin", "ETH-USDT", "2010"))
    let_read(page, 4)
    expect(rows.locator("th")).to_have_text(["BTC/USDT", "ETH/USDT"])
    # Opening a pair beside the list does not read it again either.
    rows.first.get_by_role("link").click()
    page.wait_for_timeout(1000)
    expect(rows.locator("th")).to_have_text(["BTC/USDT", "ETH/USDT"])
    # What the visitor asks for is read.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="BTC", exact=True).click()
    expect(rows).to_have_count(0)
    page.go_back()
    page.keyboard.press("p")
    expect(rows.locator("th")).to_have_text(["ETH/USDT", "BTC/USDT"])


def test_a_list_is_not_rebuilt_while_someone_chooses_from_it(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_quotes(database)
    read_often(page)
    page.goto(f"{server.page}#/pair/BTC/USDT")
    expect(page.get_by_label("Candles of").locator("option")).to_have_count(2)
    expect(page.get_by_label("More quotes").locator("option[value=ZAR]")).to_have_count(1)
    let_read(page)
    page.evaluate(
        "window.options = [...document.querySelectorAll('#other-quotes option, #panel option')]"
    )
    let_read(page, 4)
    assert page.evaluate("window.options.length") > 0
    assert page.evaluate("window.options.every((each) => each.isConnected)")


def test_a_pause_holds_prices_until_it_ends(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    with page.expect_websocket() as socket:
        page.goto(server.page)
    expect(price(page, "ETH/BTC", "binance")).to_have_text("0.0234")
    page.get_by_role("button", name="Pause").click()
    for amount in ("0.0235", "0.0236"):
        write_price(database, socket.value, quoted("binance", "ETHBTC", amount))
    let_draw(page)
    expect(price(page, "ETH/BTC", "binance")).to_have_text("0.0234")
    page.keyboard.press("p")
    expect(price(page, "ETH/BTC", "binance")).to_have_text("0.0236")


def test_a_pause_holds_the_ages_of_the_feeds(server: ServerProcess, page: Page) -> None:
    read_often(page)
    page.goto(server.page)
    ages = page.locator("#feeds .age")
    expect(ages).to_have_count(2)
    page.keyboard.press("p")
    shown = ages.all_inner_texts()
    page.wait_for_timeout(2500)
    assert ages.all_inner_texts() == shown
    page.keyboard.press("p")
    expect(ages.first).not_to_have_text(shown[0])


def test_a_phone_has_the_pause_the_columns_and_all_quotes(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_quotes(database)
    page.set_viewport_size({"width": 390, "height": 844})
    with page.expect_websocket() as socket:
        page.goto(server.page)
    page.get_by_label("More quotes").select_option("ZAR")
    expect(names(page)).to_have_text(["ETH/ZAR"])

    page.get_by_role("button", name="Columns").click()
    page.get_by_label("24 h").uncheck()
    expect(page.get_by_role("columnheader", name="24 h")).to_have_count(0)
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Options").click()
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_in_viewport(ratio=1)
    write_price(database, socket.value, quoted("binance", "ETHZAR", "8"))
    let_draw(page)
    expect(price(page, "ETH/ZAR", "binance")).to_have_text("7")
    page.get_by_role("button", name="Resume").click()
    expect(price(page, "ETH/ZAR", "binance")).to_have_text("8")


def write_quotes(database: Settings) -> None:
    """Add pairs with rare quotes; the table has no chip for the last, ZAR."""
    quotes = ["AED", "BRL", "EUR", "JPY", "TRY", "USDC", "USDD", "ZAR"]
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        list_instruments(
            owner, *(("binance", f"ETH{each}", "ETH", each, "TRADING") for each in quotes)
        )
    write_batch(database.database_url, [quoted("binance", f"ETH{each}", "7") for each in quotes])


def test_theme_and_time_zone_are_chosen_and_kept(server: ServerProcess, page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    page.goto(server.page)
    light = page.evaluate(ground)
    page.get_by_role("button", name="Options").click()
    page.get_by_label("Dark").check()
    assert page.evaluate(ground) != light
    page.get_by_label("UTC").check()
    expect(page.locator("#time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC$"))
    page.reload()
    expect(page.locator("#time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d UTC$"))
    assert page.evaluate(ground) != light


def test_the_filtered_rows_are_exported_with_every_digit(server: ServerProcess, page: Page) -> None:
    page.goto(f"{server.page}#/?q=btc")
    expect(names(page)).to_have_count(3)
    page.get_by_role("button", name="Options").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export the rows as CSV").click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    # The volume of a pair is exported in its quote and in USDT.
    in_btc = rows.pop([each["pair"] for each in rows].index("ETH/BTC"))
    assert in_btc["turnover"] == "8"
    assert float(in_btc["volume"]) == pytest.approx(8 * 85439.99)
    assert [each["pair"] for each in rows] == ["BTC/USDT", "WBTC/USDT"]
    assert "change" in rows[0]
    assert "day" not in rows[0], "a drawing is no figure"
    assert (rows[0]["price_binance"], rows[0]["price_kucoin"]) == ("85439.99", "85525.4")
    assert (rows[1]["price_kucoin"], rows[1]["volume"]) == ("", "600000")


def test_an_unknown_exchange_in_the_address_counts_as_none(
    server: ServerProcess, page: Page
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.page}#/?quote=USDT&exchange=kraken")
    expect(price(page, "BTC/USDT", "kucoin")).to_have_text("85,525.40")
    every = page.get_by_role("group", name="Exchange").get_by_role("button", name="All")
    expect(every).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Options").click()
    page.get_by_role("button", name="Copy as curl").first.click()
    expect(page.locator("#said")).to_have_text(f"Copied: curl '{server.page}api/prices?quote=USDT'")


def test_the_same_prices_are_copied_as_a_command(server: ServerProcess, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.page}#/?quote=USDT&exchange=kucoin")
    page.get_by_role("button", name="Options").click()
    page.get_by_role("button", name="Copy as curl").first.click()
    command = f"curl '{server.page}api/prices?exchange=kucoin&quote=USDT'"
    expect(page.locator("#said")).to_have_text(f"Copied: {command}")
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_the_command_of_a_symbol_that_no_list_has_finds_its_price(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [quoted("binance", "NEWUSDT", "1.5")])
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.page}#/pair/NEWUSDT")
    panel = page.get_by_role("complementary")
    panel.get_by_role("button", name="Copy as curl").click()
    url = f"{server.page}api/prices?symbol=NEWUSDT"
    expect(page.locator("#said")).to_have_text(f"Copied: curl '{url}'")
    assert [each["price"] for each in requests.get(url, timeout=DEADLINE).json()["prices"]] == [
        "1.5"
    ]


def test_exchanges_get_their_titles_although_prices_came_before_the_feeds(
    server: ServerProcess, page: Page
) -> None:
    page.clock.install()
    page.clock.resume()
    page.route("**/api/feeds*", lambda route: route.fulfill(status=503))
    page.goto(f"{server.page}#/pair/BTC/USDT")
    chip = page.locator("#exchange-chips button[data-value=kucoin]")
    figures = page.get_by_role("region", name="Figures")
    menu = page.locator("#columns label").filter(has=page.locator("input[value='price:kucoin']"))
    expect(chip).to_have_text("kucoin")
    page.unroute("**/api/feeds*")
    page.clock.fast_forward(31_000)
    expect(chip).to_have_text("KuCoin")
    expect(menu).to_contain_text("KuCoin")
    expect(page.locator("#scroller thead")).to_contain_text("KuCoin")
    expect(figures.locator("thead")).to_contain_text("KuCoin")


def test_without_javascript_the_page_leads_to_the_prices(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    text = str(page.evaluate("document.querySelector('noscript').textContent"))
    assert "This page needs JavaScript" in text
    links = re.findall(r'href="([^"]+)"', text)
    assert [server.get(f"/{link}").status_code for link in links] == [200, 200, 200]


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("view", VIEWS)
def test_every_view_is_accessible(
    server: ServerProcess,
    page: Page,
    view: str,
    scheme: Literal["dark", "light"],
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(server.page + view)
    expect(page.locator("#scroller tr[data-pair]").first).to_be_attached()
    if view == "#/compare":
        expect(page.locator("#compare tbody tr").first).to_be_visible()
    if view.startswith("#/pair"):
        expect(page.locator(".chart canvas").first).to_be_visible()
    # Evaluated, because the page's Content-Security-Policy forbids an added script element.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    violations = {
        each["id"]: [node["html"][:200] for node in each["nodes"]] for each in found["violations"]
    }
    assert violations == {}
