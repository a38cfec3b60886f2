"""Open the page in a real Chromium: it shows what each batch writes."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect
from psycopg2.extensions import connection

from core.settings import Settings
from tests.support.live_job import ticker, write_batch
from tests.support.postgres import execute, no_connections
from tests.support.server import ServerProcess, running_server

# The two cores may also run a whole stack.
expect.set_options(timeout=60_000)


@pytest.fixture
def server(database: Settings) -> Iterator[ServerProcess]:
    with running_server(database.reader_database_url) as server:
        yield server


@pytest.fixture
def console(page: Page) -> list[str]:
    """Errors and warnings of the page."""
    complaints: list[str] = []
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def row(page: Page, exchange: str, symbol: str) -> Locator:
    return page.locator(f"tr[data-exchange={exchange}][data-symbol='{symbol}']")


def price(page: Page, exchange: str, symbol: str) -> Locator:
    return row(page, exchange, symbol).locator(".price")


def card(page: Page, exchange: str) -> Locator:
    return page.locator(f"article[data-exchange={exchange}]")


def test_prices_of_both_exchanges_move(
    database: Settings, server: ServerProcess, page: Page, console: list[str]
) -> None:
    write_batch(
        database.database_url,
        [
            ticker("binance", "BTCUSDT", "85439.99"),
            ticker("kucoin", "BTC-USDT", "85440.000000000000000001"),
        ],
    )
    page.goto(server.page)
    expect(price(page, "binance", "BTCUSDT")).to_have_text("85,439.99")
    expect(price(page, "kucoin", "BTC-USDT")).to_have_text("85,440.000000000000000001")

    write_batch(
        database.database_url,
        [ticker("binance", "BTCUSDT", "1234567.5"), ticker("kucoin", "BTC-USDT", "0.00000001")],
    )

    expect(price(page, "binance", "BTCUSDT")).to_have_text("1,234,567.5")
    expect(price(page, "kucoin", "BTC-USDT")).to_have_text("0.00000001")
    expect(page.locator("#connection")).to_have_text("live")
    expect(card(page, "binance").locator(".age")).to_have_text(re.compile(r"^newest \d+ s ago$"))
    assert console == []


def test_a_price_flashes_in_the_direction_that_it_moved(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    up, down = ticker("binance", "UP", "10"), ticker("binance", "DOWN", "10")
    write_batch(database.database_url, [up, down])
    page.goto(server.page)
    expect(price(page, "binance", "UP")).to_have_text("10")

    write_batch(database.database_url, [up | {"price": "10.5"}, down | {"price": "9"}])

    page.wait_for_function(
        """() => {
            const flash = (symbol) => document
                .querySelector(`[data-symbol=${symbol}] .price`)
                .getAnimations()
                .map((animation) => animation.effect.getKeyframes()[0].backgroundColor)[0];
            return flash("UP") === "var(--flash-up)" && flash("DOWN") === "var(--flash-down)";
        }"""
    )


def test_only_simulated_prices_have_the_badge(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(
        database.database_url,
        [
            ticker("binance", "BTCUSDT", "1", endpoint="127.0.0.1"),
            ticker("kucoin", "BTC-USDT", "1", endpoint="ws-api-spot.kucoin.com"),
        ],
    )
    page.goto(server.page)

    expect(card(page, "binance").get_by_text("simulated")).to_be_visible()
    expect(card(page, "kucoin").locator(".count")).to_have_text("1 symbol")
    expect(card(page, "kucoin").get_by_text("simulated")).to_be_hidden()


def test_search_and_tabs_choose_the_rows(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(
        database.database_url,
        [
            ticker("binance", "BTCUSDT", "1"),
            ticker("binance", "币安人生USDT", "1"),
            ticker("kucoin", "BTC-USDT", "1"),
            ticker("kucoin", "ADA-BTC", "1"),
        ],
    )
    page.goto(server.page)
    symbols = page.locator("tbody tr")
    in_order = ["BTCUSDT Binance", "BTC-USDT KuCoin", "ADA-BTC KuCoin", "币安人生USDT Binance"]
    expect(symbols.locator("th")).to_have_text(in_order)

    page.get_by_label("Search a symbol").fill("btc/usdt")
    expect(symbols.locator("th")).to_have_text(["BTCUSDT Binance", "BTC-USDT KuCoin"])
    page.get_by_role("button", name="KuCoin").click()
    expect(symbols.locator("th")).to_have_text(["BTC-USDT KuCoin"])
    page.get_by_label("Search a symbol").fill("")
    expect(symbols.locator("th")).to_have_text(["BTC-USDT KuCoin", "ADA-BTC KuCoin"])
    page.get_by_label("Search a symbol").fill("币安")
    expect(page.locator("#shown")).to_have_text("No symbol matches")


@pytest.mark.parametrize("text", ["btc_usdt", "BTC:USDT", "btc*", " usdt  btc ", "btc-usdt,"])
def test_a_search_finds_a_symbol_however_its_parts_are_separated(
    database: Settings, server: ServerProcess, page: Page, text: str
) -> None:
    pairs = [
        ticker("binance", "BTCUSDT", "1"),
        ticker("kucoin", "BTC-USDT", "1"),
        ticker("kucoin", "ADA-EUR", "1"),
    ]
    write_batch(database.database_url, pairs)
    page.goto(server.page)
    expect(page.locator("tbody tr")).to_have_count(3)

    page.get_by_label("Search a symbol").fill(text)

    expect(page.locator("tbody tr th")).to_have_text(["BTCUSDT Binance", "BTC-USDT KuCoin"])


def test_many_symbols_make_few_rows_until_more_are_wanted(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    rows = [ticker("binance", f"S{number:03}", "1") for number in range(250)]
    write_batch(database.database_url, rows)
    page.goto(server.page)
    expect(page.locator("#shown")).to_have_text("100 of 250 symbols")
    expect(page.locator("tbody tr")).to_have_count(100)

    page.get_by_role("button", name="Show more").click()
    page.get_by_role("button", name="Show more").click()

    expect(page.locator("tbody tr")).to_have_count(250)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_the_page_connects_again_when_the_server_is_back(database: Settings, page: Page) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    with running_server(database.reader_database_url) as server:
        page.goto(server.page)
        expect(price(page, "binance", "BTCUSDT")).to_have_text("1")
        assert server.terminate() == 0

    expect(page.locator("#connection")).to_have_text("reconnecting")
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
    expect(price(page, "binance", "BTCUSDT")).to_have_text("1")
    with running_server(database.reader_database_url, server.port):
        expect(page.locator("#connection")).to_have_text("live")
        expect(price(page, "binance", "BTCUSDT")).to_have_text("2")


def test_the_page_says_since_when_postgres_is_away_and_goes_on_when_it_is_back(
    database: Settings, owner: connection, server: ServerProcess, page: Page, console: list[str]
) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.page)
    state = page.locator("#connection")
    expect(state).to_have_text("live")
    with no_connections(database, owner.info.dbname):
        expect(state).to_have_text(re.compile(r"^Postgres unavailable since \d\d:\d\d:\d\d$"))
        expect(price(page, "binance", "BTCUSDT")).to_have_text("1")
        assert page.evaluate("document.documentElement.scrollWidth") == 360

    expect(state).to_have_text("live")
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])
    expect(price(page, "binance", "BTCUSDT")).to_have_text("2")
    assert console == []


def unreadable(dead: int) -> dict[str, Any]:
    return {
        "kucoin": {"tickers": 3, "dead_letters": {"sequence is missing": dead}, "unread": {}},
        "binance": {"tickers": 3, "dead_letters": {"sequence is missing": 3}, "unread": {}},
    }


def test_a_banner_says_which_exchange_cannot_be_read_and_why_until_it_can_again(
    database: Settings, owner: connection, server: ServerProcess, page: Page, console: list[str]
) -> None:
    """The page hides the banner when the server stops; the next server reports it again."""
    write_batch(
        database.database_url,
        [ticker("binance", "BTCUSDT", "1"), ticker("kucoin", "BTC-USDT", "1")],
        unreadable(dead=97),
    )
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.page)
    banner = page.get_by_role("status").filter(has_text="can't be read")
    expect(banner).to_have_text(
        "KuCoin: 97 % of its items in the last minute can't be read. "
        "Cause: sequence is missing. Its prices may be old.",
        use_inner_text=True,
    )
    expect(page.locator("#unreadable [data-exchange=binance]")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360

    execute(owner, "UPDATE batches SET committed_at = committed_at - interval '1 minute'")

    expect(page.locator("#unreadable [data-exchange=kucoin]")).to_be_hidden()
    expect(page.locator("#connection")).to_have_text("live")
    write_batch(database.database_url, [], unreadable(dead=9))
    expect(page.locator("#unreadable [data-exchange=kucoin] .share")).to_have_text("75 %")
    assert console == []
    assert server.terminate() == 0
    expect(page.locator("#connection")).to_have_text("reconnecting")
    expect(page.locator("#unreadable [data-exchange=kucoin]")).to_be_hidden()


def test_the_page_opens_a_connection_that_went_silent_again_and_goes_on_where_it_was(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """The connection stays open but carries nothing. The test moves the page's clock forward."""
    opened: list[str] = []
    frames: list[str] = []
    is_silent = False

    def between(route: WebSocketRoute) -> None:
        opened.append(route.url)
        behind = route.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            if not (is_silent and len(opened) == 1):
                frames.append(str(message))
                route.send(message)

        behind.on_message(pass_on)

    page.clock.install()
    page.route_web_socket("**/ws*", between)
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    page.goto(server.page)
    expect(price(page, "binance", "BTCUSDT")).to_have_text("1")
    is_silent = True
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])

    # 15 s of silence and up to 0.5 s until the page connects, so 16 s are enough.
    page.clock.run_for(16_000)

    expect(price(page, "binance", "BTCUSDT")).to_have_text("2")
    id = json.loads(frames[0])["id"]
    since = [parse_qs(urlsplit(url).query).get("since") for url in opened]
    assert since == [None, [id]]
    assert json.loads(frames[1])["previous"] == id


def messages_of(*lists: list[str]) -> list[dict[str, Any]]:
    """Return a snapshot of the first list of symbols, and changes or snapshots of the others."""
    now = datetime.now(UTC).isoformat()
    shown = {"price": "1", "bid": None, "ask": None, "open_24h": None, "quote_volume_24h": None}
    return [
        {
            "type": "snapshot",
            "id": str(number),
            "previous": None,
            "time": now,
            "postgres": "connected",
            "prices": [
                {"exchange": "binance", "symbol": symbol, "received_at": now, "simulated": True}
                | shown
                for symbol in symbols
            ],
        }
        for number, symbols in enumerate(lists)
    ]


def serve_instead(page: Page, messages: list[dict[str, Any]]) -> list[WebSocketRoute]:
    """Answer the page's WebSocket with these messages. Return the routes, to send more."""
    routes: list[WebSocketRoute] = []

    def answer(route: WebSocketRoute) -> None:
        routes.append(route)
        for message in messages:
            route.send(json.dumps(message))

    page.route_web_socket("**/ws*", answer)
    return routes


def test_a_symbol_that_a_new_snapshot_lacks_is_removed_even_before_the_next_frame(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    """A hidden tab gets no animation frames, so a change and a snapshot may meet in one."""
    first, second, third = messages_of(["A", "B"], ["B"], ["B", "C"])
    change = first | {"type": "changes", "previous": first["id"], "id": "changed"}
    routes = serve_instead(page, [first])
    page.goto(server.page)
    expect(page.locator("tbody tr")).to_have_count(2)
    for message in (change, second):
        routes[0].send(json.dumps(message))
    expect(page.locator("tbody tr th")).to_have_text(["B Binance"])
    routes[0].send(json.dumps(third))
    expect(page.locator("tbody tr th")).to_have_text(["B Binance", "C Binance"])
    assert console == []


def test_an_empty_snapshot_leaves_no_rows(server: ServerProcess, page: Page) -> None:
    first, empty = messages_of(["A", "B"], [])
    routes = serve_instead(page, [first])
    page.goto(server.page)
    expect(page.locator("tbody tr")).to_have_count(2)
    routes[0].send(json.dumps(empty))
    expect(page.locator("tbody tr")).to_have_count(0)
    expect(page.locator("#shown")).to_have_text("No symbol matches")


def test_ages_do_not_depend_on_the_browsers_clock(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.clock.install(time=datetime.now(UTC) + timedelta(minutes=10))
    page.clock.resume()
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    page.goto(server.page)
    age = row(page, "binance", "BTCUSDT").locator(".age")
    expect(age).to_have_text(re.compile(r"^\d+ s$"))
    expect(card(page, "binance").locator(".age")).to_have_text(re.compile(r"^newest \d+ s ago$"))
    assert card(page, "binance").get_attribute("data-late") == "false"


def test_a_lost_network_is_shown_at_once_and_old_prices_are_grey_until_it_is_back(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "1")])
    page.goto(server.page)
    expect(page.locator("#connection")).to_have_text("live")
    bright = opacity(page)

    page.context.set_offline(True)
    expect(page.locator("#connection")).to_have_text("offline", timeout=2_000)
    assert opacity(page) < bright
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "2")])

    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("live", timeout=5_000)
    expect(price(page, "binance", "BTCUSDT")).to_have_text("2")
    assert opacity(page) == bright


def opacity(page: Page) -> float:
    return float(page.locator("tbody").evaluate("body => getComputedStyle(body).opacity"))


def test_a_price_that_is_minutes_old_is_grey(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    old = datetime.now(UTC) - timedelta(minutes=10)
    rows_ = [ticker("binance", "OLD", "1", received_at=old), ticker("binance", "NEW", "1")]
    write_batch(database.database_url, rows_)
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.page)
    expect(row(page, "binance", "OLD")).to_have_attribute("data-stale", "true")
    expect(row(page, "binance", "NEW")).to_have_attribute("data-stale", "false")


def test_a_postgres_that_is_away_since_yesterday_is_shown_with_the_day(
    server: ServerProcess, page: Page
) -> None:
    (message,) = messages_of(["A"])
    yesterday = datetime.now(UTC) - timedelta(days=1)
    serve_instead(page, [message | {"postgres": "away", "since": yesterday.isoformat()}])
    page.goto(server.page)
    expect(page.locator("#connection")).to_have_text(
        re.compile(rf"^Postgres unavailable since {yesterday.day} [A-Z][a-z]+, \d\d:\d\d:\d\d$")
    )


def test_without_javascript_the_page_says_what_it_needs(server: ServerProcess, page: Page) -> None:
    page.goto(server.page)
    text = page.evaluate("document.querySelector('noscript').textContent")
    assert "needs JavaScript" in text


def test_the_tooltip_of_a_price_names_the_kafka_message_that_it_came_in(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [ticker("kucoin", "BTC-USDT", "85440.1", offset=1042)])
    page.goto(server.page)

    price(page, "kucoin", "BTC-USDT").hover()

    expect(price(page, "kucoin", "BTC-USDT")).to_have_attribute(
        "title",
        "85440.1 came from 127.0.0.1: kucoin_raw_data, partition 0, offset 1042, position 0",
    )


def test_the_api_is_documented_without_another_site(
    server: ServerProcess, page: Page, console: list[str]
) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{server.page}docs/")

    operation = page.locator("#operations-prices-get_prices_api_prices_get")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Execute").click()

    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text(
        "200"
    )
    expect(page.locator(".errors-wrapper")).to_have_count(0)
    assert all(url.startswith((server.page, "data:")) for url in requested)
    assert [line for line in console if "Content Security Policy" not in line] == []


def test_a_phone_shows_the_page_without_scrolling_sideways(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    widest = ticker("binance", "1000000MOGUSDT", "12345678901234567890.123456789012345678")
    write_batch(database.database_url, [widest])
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.page)
    expect(price(page, "binance", "1000000MOGUSDT")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
