"""Open the page of a server that requires a key, in a real Chromium."""

from playwright.sync_api import Page, expect

from core.settings import Settings
from tests.support.live_job import ticker, write_batch
from tests.support.server import running_server

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "another-key-another-key-another-key"


def test_the_page_asks_for_the_key_once_and_again_when_it_is_another(
    database: Settings, page: Page
) -> None:
    write_batch(database.database_url, [ticker("binance", "BTCUSDT", "85439.99")])
    form, price = page.locator("#key"), page.locator("td[data-column='price:binance']")
    key = page.get_by_label("This server requires an API key.")
    show = page.get_by_role("button", name="Show prices")

    with running_server(database.reader_database_url, SERVER_API_KEY=KEY) as server:
        page.clock.install()
        page.clock.resume()
        page.goto(server.page)
        expect(form).to_be_visible()
        expect(page.locator("main")).to_be_hidden()
        expect(price).to_have_count(0)

        key.fill("not the key")
        show.click()
        expect(price).to_have_count(0)
        key.fill(KEY[::-1])
        show.click()
        expect(page.get_by_role("alert")).to_have_text("Wrong key.")

        page.route("**/session", lambda route: route.fulfill(status=502))
        show.click()
        expect(page.get_by_role("alert")).to_have_text("The server answered with status 502.")
        page.unroute("**/session")

        key.fill(KEY)
        show.click()
        expect(price).to_have_text("85,439.99")
        expect(form).to_be_hidden()
        assert page.url == server.page
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert KEY not in cookie["value"]
        assert page.evaluate("document.cookie") == ""

        page.reload()
        expect(price).to_have_text("85,439.99")
        expect(form).to_be_hidden()
        assert server.terminate() == 0

    with running_server(database.reader_database_url, server.port, SERVER_API_KEY=OTHER_KEY):
        expect(form).to_be_visible()
        # The delay doubles with each attempt: the one after the fourth is 4 to 8 s. The clock is paused
        # before it is over, so only the key can open the connection.
        for _ in range(4):
            page.wait_for_event("websocket")
        page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
        key.fill(OTHER_KEY)
        show.click()
        expect(page.locator("#connection")).to_have_text("live")
