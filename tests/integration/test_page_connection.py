"""The page's connection, in a real Chromium: it shows what is live, and resumes after faults."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from psycopg2.extensions import connection

from core.settings import Settings
from infra.stack import Stack
from tests.support.live_job import write_batch
from tests.support.page import cell, names, price, quoted
from tests.support.postgres import execute, no_connections
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import new_database
from tests.support.waiting import pass_time

SILENCE_LIMIT = 15.0
"""Seconds of silence after which the page reconnects."""


@pytest.fixture(scope="module")
def database(stack: Stack) -> Settings:
    """No instrument is listed, so the name of a pair is its symbol."""
    return new_database(stack)


@pytest.fixture(autouse=True)
def no_prices(owner: connection) -> None:
    execute(owner, "TRUNCATE live_prices, batches")


def bitcoin(amount: str) -> dict[str, Any]:
    return quoted("binance", "BTCUSDT", amount)


def shown_price(page: Page) -> Locator:
    return price(page, "BTCUSDT", "binance")


def test_the_page_connects_again_when_the_server_is_back(database: Settings, page: Page) -> None:
    write_batch(database.database_url, [bitcoin("1")])
    with running_server(database.reader_database_url) as server:
        page.goto(server.page)
        expect(shown_price(page)).to_have_text("1")
        assert server.terminate() == 0

    expect(page.locator("#connection")).to_have_text("reconnecting")
    write_batch(database.database_url, [bitcoin("2")])
    expect(shown_price(page)).to_have_text("1")
    with running_server(database.reader_database_url, server.port):
        expect(page.locator("#connection")).to_have_text("live")
        expect(shown_price(page)).to_have_text("2")


def test_the_page_says_since_when_postgres_is_unavailable_and_resumes_when_it_is_back(
    database: Settings, owner: connection, server: ServerProcess, page: Page, console: list[str]
) -> None:
    write_batch(database.database_url, [bitcoin("1")])
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(server.page)
    state = page.locator("#connection")
    expect(state).to_have_text("live")
    # A request that Postgres interrupts would be an error on the console.
    page.wait_for_load_state("networkidle")
    with no_connections(database, owner.info.dbname):
        expect(state).to_have_text(
            re.compile(r"^Postgres unavailable since (\d+ \w+, )?\d\d:\d\d:\d\d$")
        )
        expect(shown_price(page)).to_have_text("1")
        assert page.evaluate("document.documentElement.scrollWidth") == 360

    expect(state).to_have_text("live")
    write_batch(database.database_url, [bitcoin("2")])
    expect(shown_price(page)).to_have_text("2")
    assert console == []


def unreadable(dead: int) -> dict[str, Any]:
    return {
        "kucoin": {"tickers": 3, "dead_letters": {"sequence is missing": dead}, "unread": {}},
        "binance": {"tickers": 3, "dead_letters": {"sequence is missing": 3}, "unread": {}},
    }


def test_a_banner_says_which_exchange_cannot_be_read_and_why_until_it_can_again(
    database: Settings, owner: connection, page: Page, console: list[str]
) -> None:
    """The page hides the banner when the server stops; the next server reports it again."""
    with running_server(database.reader_database_url) as server:
        write_batch(
            database.database_url,
            [bitcoin("1"), quoted("kucoin", "BTC-USDT", "1")],
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


def test_the_page_reconnects_after_silence_and_resumes_where_it_was(
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
    write_batch(database.database_url, [bitcoin("1")])
    page.goto(server.page)
    expect(shown_price(page)).to_have_text("1")
    is_silent = True
    write_batch(database.database_url, [bitcoin("2")])

    # 15 s of silence and up to 0.5 s until the page connects, so 16 s are enough.
    page.clock.run_for(16_000)

    expect(shown_price(page)).to_have_text("2")
    id = json.loads(frames[0])["id"]
    since = [parse_qs(urlsplit(url).query).get("since") for url in opened]
    assert since == [None, [id]]
    assert json.loads(frames[1])["previous"] == id


def messages_of(*lists: list[str]) -> list[dict[str, Any]]:
    """Return a snapshot of each list of symbols."""
    now = datetime.now(UTC).isoformat()
    shown = {"price": "1"} | dict.fromkeys(
        ("bid", "ask", "open_24h", "quote_volume_24h", "traded_at")
    )
    return [
        {
            "type": "snapshot",
            "id": str(number),
            "previous": None,
            "time": now,
            "postgres": "connected",
            "prices": [
                {"exchange": "binance", "symbol": symbol, "received_at": now} | shown
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
    expect(names(page)).to_have_count(2)
    for message in (change, second):
        routes[0].send(json.dumps(message))
    expect(names(page)).to_have_text(["B"])
    routes[0].send(json.dumps(third))
    expect(names(page)).to_have_text(["B", "C"])
    assert console == []


def test_an_empty_snapshot_leaves_no_rows(server: ServerProcess, page: Page) -> None:
    first, empty = messages_of(["A", "B"], [])
    routes = serve_instead(page, [first])
    page.goto(server.page)
    expect(names(page)).to_have_count(2)
    routes[0].send(json.dumps(empty))
    expect(names(page)).to_have_count(0)
    expect(page.locator("#shown")).to_have_text("0 pairs")


def test_ages_do_not_depend_on_the_browsers_clock(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    page.clock.install(time=datetime.now(UTC) + timedelta(minutes=10))
    page.clock.resume()
    write_batch(database.database_url, [bitcoin("1")])
    page.goto(server.page)
    age = cell(page, "BTCUSDT", "age:binance")
    expect(age).to_have_text(re.compile(r"^\d+ s$"))
    feed = page.locator("#feeds [data-exchange=binance]")
    expect(feed.locator(".age")).to_have_text(re.compile(r"^\d+ s$"))
    expect(feed).to_have_attribute("data-late", "false")


def test_prices_that_a_slow_link_delivers_late_have_their_true_age(
    server: ServerProcess, page: Page
) -> None:
    """The responses of the API are prompt, so they show the server's clock."""
    built = (datetime.now(UTC) - timedelta(seconds=100)).isoformat()
    (message,) = messages_of(["A"])
    message["prices"][0]["received_at"] = built
    serve_instead(page, [message | {"time": built}])
    page.goto(server.page)
    expect(cell(page, "A", "age:binance")).to_have_text("1 min")
    expect(price(page, "A", "binance")).to_have_attribute("data-stale", "true")


def test_a_lost_network_is_shown_at_once_and_old_prices_are_grey_until_it_is_back(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    write_batch(database.database_url, [bitcoin("1")])
    page.goto(server.page)
    expect(page.locator("#connection")).to_have_text("live")
    bright = opacity(page)

    page.context.set_offline(True)
    expect(page.locator("#connection")).to_have_text("offline", timeout=10_000)
    assert opacity(page) < bright
    write_batch(database.database_url, [bitcoin("2")])

    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("live", timeout=10_000)
    expect(shown_price(page)).to_have_text("2")
    assert opacity(page) == bright


def test_a_tab_that_was_frozen_shows_the_newest_price_at_once(
    database: Settings, server: ServerProcess, page: Page
) -> None:
    """Browsers may freeze a hidden tab's timers and messages for longer than a stream may be silent."""
    write_batch(database.database_url, [bitcoin("1")])
    page.goto(server.page)
    expect(shown_price(page)).to_have_text("1")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Page.setWebLifecycleState", {"state": "frozen"})
    write_batch(database.database_url, [bitcoin("2")])
    pass_time(SILENCE_LIMIT + 2)
    write_batch(database.database_url, [bitcoin("3")])
    devtools.send("Page.setWebLifecycleState", {"state": "active"})
    expect(shown_price(page)).to_have_text("3", timeout=10_000)
    expect(page.locator("#connection")).to_have_text("live", timeout=10_000)


def opacity(page: Page) -> float:
    return float(page.locator("#scroller tbody").evaluate("body => getComputedStyle(body).opacity"))


def test_a_postgres_that_is_unavailable_since_yesterday_is_shown_with_the_day(
    server: ServerProcess, page: Page
) -> None:
    (message,) = messages_of(["A"])
    yesterday = datetime.now(UTC) - timedelta(days=1)
    serve_instead(page, [message | {"postgres": "away", "since": yesterday.isoformat()}])
    page.goto(server.page)
    expect(page.locator("#connection")).to_have_text(
        re.compile(rf"^Postgres unavailable since {yesterday.day} [A-Z][a-z]+, \d\d:\d\d:\d\d$")
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
