"""Kill Postgres, Kafka, the live job and the server for 20 s each under an open page of a demo.

`make test-page-outages` runs it, for some minutes.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from infra import supervision
from infra.stack import Stack
from infra.up import EXTRACTORS
from tests.support.page import cell, price
from tests.support.stacks import demo_stack, unavailable
from tests.support.waiting import pass_time, wait_for

OUTAGE = 20.0

FRESH = 10
"""Maximum age of a price that moves, in seconds."""

RESTART = 120.0
"""Seconds for a restart of Spark and its first batches."""

PAIR = "BTC/USDT"

SHOWN = """
() => [...document.querySelectorAll("#scroller tr[data-pair]")].flatMap((row) =>
  [...row.querySelectorAll("td[data-column^='price:']")]
    .filter((cell) => /[0-9]/.test(cell.textContent))
    .map((cell) => [
      cell.dataset.column.slice("price:".length),
      row.dataset.pair,
      cell.textContent.replaceAll(",", ""),
    ]))
"""


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    with demo_stack("page-outages") as stack:
        yield stack


@pytest.fixture
def opened(demo: Stack, page: Page) -> Page:
    page.goto(f"http://127.0.0.1:{demo.settings.server_port}/")
    moves(page)
    return page


def moves(page: Page) -> None:
    """Wait until the page is live and shows new prices of all exchanges."""
    expect(page.locator("#connection")).to_have_text("live", timeout=RESTART * 1000)
    for exchange in EXTRACTORS:
        wait_for(partial(age, page, exchange), lambda found: found <= FRESH, deadline=RESTART)
        shown = price(page, PAIR, exchange)
        expect(shown).not_to_have_text(shown.inner_text())


def age(page: Page, exchange: str) -> float:
    """Return the age that the page shows, in seconds; infinite if it is not in seconds."""
    found = re.fullmatch(r"(\d+) s", age_text(page, exchange))
    return float(found[1]) if found else float("inf")


def age_text(page: Page, exchange: str) -> str:
    return cell(page, PAIR, f"age:{exchange}").inner_text()


@pytest.mark.parametrize(
    ("program", "state"),
    [
        ("postgres", r"Postgres unavailable since (\d+ \w+, )?\d\d:\d\d:\d\d"),
        ("server", "reconnecting"),
    ],
)
def test_while_a_program_is_unavailable_the_page_says_so(
    demo: Stack, opened: Page, program: str, state: str
) -> None:
    with unavailable(demo, program):
        pass_time(OUTAGE)
        expect(opened.locator("#connection")).to_have_text(re.compile(f"^{state}$"))
    moves(opened)


@pytest.mark.parametrize("program", ["kafka", "jobs"])
def test_while_no_price_arrives_the_ages_grow(demo: Stack, opened: Page, program: str) -> None:
    with unavailable(demo, program):
        pass_time(OUTAGE)
        for exchange in EXTRACTORS:
            assert re.fullmatch(r"\d+ (s|min)", age_text(opened, exchange))
            assert age(opened, exchange) > OUTAGE / 2
    moves(opened)


def test_after_all_outages_the_page_shows_the_servers_prices(demo: Stack, opened: Page) -> None:
    supervision.stop_programs(demo, [*EXTRACTORS, "exchange"])
    wait_for(
        lambda: (shown(opened), served(demo)),
        lambda found: len(found[0]) > 20 and found[0].items() <= found[1].items(),
        pause=1,
    )


def shown(page: Page) -> dict[tuple[str, str], Decimal]:
    """Return the prices of the rows that exist, by exchange and pair."""
    return {(exchange, pair): Decimal(text) for exchange, pair, text in page.evaluate(SHOWN)}


def served(stack: Stack) -> dict[tuple[str, str], Decimal]:
    answer = requests.get(f"http://127.0.0.1:{stack.settings.server_port}/api/prices", timeout=20)
    prices: list[dict[str, Any]] = answer.json()["prices"]
    return {(each["exchange"], pair_of(each)): Decimal(each["price"]) for each in prices}


def pair_of(row: dict[str, Any]) -> str:
    """Return the pair of a price; the symbol, if no instrument is listed."""
    return f"{row['base']}/{row['quote']}" if row["base"] else str(row["symbol"])
