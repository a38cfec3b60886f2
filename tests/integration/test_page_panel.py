"""The page's panel of one pair, in a real Chromium: chart, figures and the source of each price."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from playwright.sync_api import Page, Route, expect

from core.settings import Settings
from infra.stack import Stack
from tests.support.live_job import accept_any_time, insert, write_batch
from tests.support.page import HeldRequests, hash_of, let_draw, quoted, row, write_market
from tests.support.postgres import execute
from tests.support.server import ServerProcess
from tests.support.stacks import new_database

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    """Each exchange has candles of the last 30 minutes; Binance was interrupted during five of them."""
    database = new_database(stack)
    this_minute = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = [this_minute - number * MINUTE for number in range(1, 31)]
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        accept_any_time(owner, "candles_1m")
        for exchange, symbol in (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT")):
            insert(
                owner,
                "INSERT INTO candles_1m VALUES %s",
                [
                    (exchange, symbol, start, "85400.5", "85500", "85300", "85450.25", 1, 2, 3)
                    for start in minutes
                ],
            )
        events = [
            ("binance", None, "connection", None, minutes[-1], None, 0),
            ("binance", None, "interruption", "silence", minutes[20], minutes[15], 0),
        ]
        insert(owner, "INSERT INTO feed_events VALUES %s", events)
    return database


@pytest.fixture(autouse=True)
def fresh_market(database: Settings) -> None:
    write_market(database)


def test_a_click_opens_a_pair_and_escape_returns_to_its_row(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    page.goto(f"{server.page}#/?quote=USDT&sort=-change")
    row(page, "BTC/USDT").locator("[data-column='volume']").click()
    panel = page.get_by_role("complementary", name="BTC/USDT")
    expect(panel.locator(".headline")).to_have_text("85,439.99")
    assert hash_of(page) == "/pair/BTC/USDT?quote=USDT&sort=-change"
    expect(panel.get_by_role("heading", name="BTC/USDT")).to_be_focused()
    expect(row(page, "BTC/USDT")).to_have_attribute("data-open", "true")

    page.keyboard.press("Escape")
    expect(panel).to_have_count(0)
    assert hash_of(page) == "/?quote=USDT&sort=-change"
    expect(row(page, "BTC/USDT").get_by_role("link")).to_be_focused()
    page.go_back()
    expect(panel).to_be_visible()
    page.reload()
    expect(panel.locator(".headline")).to_have_text("85,439.99")
    assert console == []


def test_arrows_move_through_the_rows_and_enter_opens(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    expect(row(page, "BTC/USDT")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(row(page, "BTC/USDT").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(row(page, "ETH/USDT").get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="ETH/USDT")).to_be_visible()


def test_the_price_is_in_the_title_of_the_tab_and_moves(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(f"{server.page}#/pair/BTC/USDT")
    expect(page).to_have_title("85,439.99 BTC/USDT · Live crypto prices")
    write_batch(database.database_url, [quoted("binance", "BTCUSDT", "85441.5")])
    expect(page).to_have_title("85,441.50 BTC/USDT · Live crypto prices")
    page.get_by_role("button", name="Close (Esc)").click()
    expect(page).to_have_title("Live crypto prices")


def hide(page: Page) -> None:
    """Hide the tab, as far as the page can tell: a hidden tab gets no animation frames."""
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { value: true });
            window.requestAnimationFrame = () => 1;
        }"""
    )


def test_the_title_of_a_hidden_tab_moves(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.goto(f"{server.page}#/pair/BTC/USDT")
    expect(page).to_have_title("85,439.99 BTC/USDT · Live crypto prices")
    hide(page)
    write_batch(database.database_url, [quoted("binance", "BTCUSDT", "85441.5")])
    expect(page).to_have_title("85,441.50 BTC/USDT · Live crypto prices", timeout=20_000)


def test_the_title_has_no_price_while_prices_are_not_live(
    server: ServerProcess, page: Page
) -> None:
    page.goto(f"{server.page}#/pair/BTC/USDT")
    with_price = re.compile(r"^85,439\.99 BTC/USDT")
    expect(page).to_have_title(with_price)
    hide(page)
    page.context.set_offline(True)
    expect(page).to_have_title("BTC/USDT · Live crypto prices")
    page.context.set_offline(False)
    expect(page).to_have_title(with_price)
    page.get_by_role("button", name="Pause").first.click()
    expect(page).to_have_title("BTC/USDT · Live crypto prices")
    page.get_by_role("button", name="Resume").first.click()
    expect(page).to_have_title(with_price)


def test_a_price_that_grows_old_becomes_grey_and_leaves_the_title(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    received = datetime.now(UTC) - timedelta(seconds=50)
    write_batch(
        database.database_url,
        [quoted("binance", "BTCUSDT", "85441.25", received_at=received, quote_volume_24h="900000")],
    )
    page.goto(f"{server.page}#/pair/BTC/USDT")
    expect(page).to_have_title("BTC/USDT · Live crypto prices")
    headline = page.locator(".headline")
    expect(headline).to_have_text("85,441.25")
    quiet = page.locator(".panel-foot").evaluate(
        """foot => {
            foot.style.color = "var(--quiet)";
            return getComputedStyle(foot).color;
        }"""
    )
    expect(headline).to_have_css("color", quiet)


def test_after_a_pause_the_chart_reads_all_candles_since_the_last_closed_one(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.clock.install()
    page.clock.resume()
    page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m")
    panel = page.get_by_role("complementary")
    expect(panel.locator(".legend")).to_have_text(re.compile("85,450.25"))
    with closing(psycopg2.connect(database.database_url)) as owner, owner.cursor() as cursor:
        cursor.execute("SELECT max(minute) FROM candles_1m WHERE exchange = 'binance'")
        ((newest,),) = cursor.fetchall()
    page.get_by_role("button", name="Pause").first.click()
    page.clock.fast_forward(60_000)
    write_batch(database.database_url, [quoted("binance", "BTCUSDT", "85441.5")])
    # Requests for earlier candles, which go on until there is none, have `to`.
    with page.expect_request(
        lambda request: "/candles/binance/" in request.url and "to=" not in request.url
    ) as request:
        page.get_by_role("button", name="Resume").first.click()
    asked = parse_qs(urlsplit(request.value.url).query)
    assert asked["from"] == [f"{newest:%Y-%m-%dT%H:%M:%S.000000Z}"]


def test_candles_that_cannot_be_read_are_read_again(server: ServerProcess, page: Page) -> None:
    failed: list[str] = []

    def answer(route: Route) -> None:
        if len(failed) < 3:
            failed.append(route.request.url)
            route.fulfill(status=503)
        else:
            route.continue_()

    page.route("**/api/candles/**", answer)
    page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m")
    panel = page.get_by_role("complementary")
    notice = panel.locator(".chart-notice")
    expect(notice).to_have_text("Candles can't be read now. The page tries again.")
    expect(notice).to_have_text("", timeout=20_000)
    expect(panel.locator(".legend")).to_have_text(re.compile("85,450.25"))


def test_the_legend_follows_the_newest_candle_and_forgets_another_pair(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - MINUTE
    candle = ("binance", "ETHUSDT", start, "2000", "2009", "1990", "2005", 1, 2, 3)
    page.clock.install()
    page.clock.resume()
    with closing(psycopg2.connect(database.database_url)) as owner:
        with owner:
            insert(owner, "INSERT INTO candles_1m VALUES %s", [candle])
        page.goto(f"{server.page}#/pair/ETH/USDT?interval=1m")
        legend = page.get_by_role("complementary").locator(".legend")
        expect(legend).to_have_text(re.compile("C 2,005"))
        with owner:
            execute(owner, "UPDATE candles_1m SET close = 2008 WHERE symbol = 'ETHUSDT'")
    page.clock.fast_forward(16_000)
    write_batch(database.database_url, [quoted("binance", "ETHUSDT", "2001")])
    expect(legend).to_have_text(re.compile("C 2,008"))
    page.route("**/api/candles/**", lambda route: route.fulfill(status=503))
    page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m")
    expect(page.locator(".chart-notice")).to_have_text(re.compile("can't be read now"))
    expect(legend).to_have_text("")


def test_candles_before_a_gap_longer_than_a_page_are_found(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """A page has 500 candles, here of a minute each; the gap is three days long."""
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=3)
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        candle = ("binance", "WBTCUSDT", start, "84000", "84000", "84000", "84000", 1, 2, 3)
        insert(owner, "INSERT INTO candles_1m VALUES %s", [candle])
    page.goto(f"{server.page}#/pair/WBTC/USDT?interval=1m")
    panel = page.get_by_role("complementary")
    expect(panel.locator(".legend")).to_have_text(re.compile("C 84,000"))
    expect(panel.locator(".chart-notice")).to_have_text("")


def test_the_chart_opens_at_the_newest_times_of_all_exchanges(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """Binance's candles are drawn, but it has none in most minutes."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    amounts = ("2000", "2009", "1990", "2005", 1, 2, 3)
    frequent = [
        ("kucoin", "ETH-USDT", start - number * MINUTE, *amounts) for number in range(1, 401)
    ]
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        execute(owner, "DELETE FROM candles_1m WHERE symbol IN ('ETHUSDT', 'ETH-USDT')")
        newest = ("binance", "ETHUSDT", start - MINUTE, *amounts)
        insert(owner, "INSERT INTO candles_1m VALUES %s", [newest, *frequent])
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.clock.install()
    page.clock.resume()
    page.goto(f"{server.page}#/pair/ETH/USDT?interval=1m")
    expect(page.get_by_role("complementary").locator(".legend")).to_have_text(re.compile("C 2,005"))
    page.clock.run_for(3_000)
    # Only requests for earlier candles have `to`; they are sent once those are about to be seen.
    assert [url for url in requested if "/candles/" in url and "to=" in url] == []


def test_the_newest_candles_are_read_after_a_price_that_came_while_earlier_ones_were_read(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    start = datetime.now(UTC).replace(second=0, microsecond=0) - MINUTE
    candle = ("binance", "WBTCUSDT", start, "84000", "84009", "83990", "84005", 1, 2, 3)
    page.clock.install()
    page.clock.resume()
    held = HeldRequests(page, re.compile(r"/api/candles/.*limit=1(&|$)"))
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        insert(owner, "INSERT INTO candles_1m VALUES %s", [candle])
    page.goto(f"{server.page}#/pair/WBTC/USDT?interval=1m")
    panel = page.get_by_role("complementary")
    expect(panel.locator(".legend")).to_have_text(re.compile("C 84,005"))
    page.clock.run_for(2_000)
    write_batch(database.database_url, [quoted("binance", "WBTCUSDT", "84003")])
    expect(panel.locator(".now")).to_contain_text("84,003")
    assert held.routes
    with closing(psycopg2.connect(database.database_url)) as owner, owner:
        execute(owner, "UPDATE candles_1m SET close = 84008 WHERE symbol = 'WBTCUSDT'")
    held.let_later_ones_pass()
    for route in held.routes:
        route.continue_()
    page.clock.fast_forward(16_000)
    expect(panel.locator(".legend")).to_have_text(re.compile("C 84,008"))


def test_the_figures_of_each_exchange_are_exact(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(
        database.database_url,
        [
            quoted("kucoin", "BTC-USDT", "85525.4", bid="85525.3", ask="85533.8")
            | {"bid_size": "0.31", "ask_size": "1.2045"}
        ],
    )
    page.goto(f"{server.page}#/pair/BTC/USDT")
    figures = page.get_by_role("region", name="Figures")
    for label, shown in (
        ("Price", ["85,439.99", "85,525.40"]),
        ("24 h change", ["\u22122.03 %", ""]),
        ("24 h volume", ["900K USDT", ""]),
        ("Bid", ["", "85,525.30 \xd7 0.31"]),
        ("Ask", ["", "85,533.80 \xd7 1.2045"]),
        ("Spread", ["", "0.99 bp"]),
        ("Status", ["trading", "trading"]),
        ("Symbol", ["BTCUSDT", "BTC-USDT"]),
    ):
        line = figures.get_by_role("row").filter(
            has=page.get_by_role("rowheader", name=label, exact=True)
        )
        expect(line.get_by_role("cell")).to_have_text(shown)
    expect(figures.locator(".difference")).to_have_text("KuCoin is 10.00 bp above Binance.")


def test_the_chart_has_candles_of_the_chosen_exchange_and_interval(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m")
    panel = page.get_by_role("complementary")
    chart = panel.get_by_role("img")
    expect(chart).to_have_accessible_name(
        "Candles of BTC/USDT on Binance, 1m each; closes of KuCoin"
    )
    expect(chart.locator("canvas").first).to_be_visible()
    expect(panel.locator(".legend")).to_have_text(
        "O 85,400.50 H 85,500.00 L 85,300.00 C 85,450.25 ticker updates"
    )

    panel.get_by_role("button", name="5m", exact=True).click()
    expect(chart).to_have_accessible_name(re.compile("5m each"))
    assert "interval=5m" in hash_of(page)
    panel.get_by_label("Candles of", exact=True).select_option("kucoin")
    expect(chart).to_have_accessible_name(
        "Candles of BTC/USDT on KuCoin, 5m each; closes of Binance"
    )
    assert "candles=kucoin" in hash_of(page)
    page.reload()
    expect(chart).to_have_accessible_name(re.compile("^Candles of BTC/USDT on KuCoin, 5m"))
    assert all(url.startswith(server.page) for url in requested)
    assert console == []


def test_an_interruption_is_shaded(server: ServerProcess, page: Page) -> None:
    """Binance's chart has the translucent pixels of a shade; KuCoin was not interrupted and has none."""
    page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m")
    shaded = """() => {
        const drawing = document.querySelector(".chart");
        const canvas = drawing.querySelector("canvas");
        if (!canvas || !canvas.width) return null;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 20);
        let count = 0;
        for (let i = 3; i < data.length; i += 4) if (data[i] > 20 && data[i] < 80) count += 1;
        return count;
    }"""
    page.wait_for_function(f"() => ({shaded})() > 100")
    # The chart reads its interruptions after it is opened, and draws a shade in the next frame.
    with page.expect_response(lambda response: "feeds?limit=100" in response.url) as feeds:
        page.goto(f"{server.page}#/pair/BTC/USDT?interval=1m&candles=kucoin")
    feeds.value.finished()
    legend = page.get_by_role("complementary").locator(".legend")
    expect(legend).to_have_text(re.compile("85,450.25"))
    let_draw(page)
    assert page.evaluate(shaded) == 0


def test_the_source_of_a_price_is_reached_by_keyboard(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(
        database.database_url, [quoted("kucoin", "BTC-USDT", "85440.1", offset=1042, position=17)]
    )
    page.goto(f"{server.page}#/pair/BTC/USDT")
    summary = page.get_by_text("Where KuCoin's price came from")
    summary.focus()
    page.keyboard.press("Enter")
    source = page.locator("details[data-exchange=kucoin]")
    expect(source.locator("dd")).to_contain_text(
        ["85440.1", "127.0.0.1", "kucoin_raw_data", "0", "1042", "17"]
    )
    expect(source.locator("code")).to_have_text("make trace SYMBOL=kucoin:BTC-USDT")


def test_a_pair_without_a_price_says_so(server: ServerProcess, page: Page) -> None:
    page.goto(f"{server.page}#/pair/NO/SUCH")
    expect(page.get_by_text("No exchange has a price of this pair.")).to_be_visible()


def test_on_a_phone_the_panel_covers_the_page(server: ServerProcess, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.page}#/pair/BTC/USDT")
    panel = page.get_by_role("complementary")
    expect(panel.locator(".headline")).to_be_visible()
    assert panel.bounding_box() == {"x": 0, "y": 0, "width": 390, "height": 844}
