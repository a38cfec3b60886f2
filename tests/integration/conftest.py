"""Start a real Kafka, MinIO and Postgres for the tests. The run fails if one does not start."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from psycopg2.extensions import connection

from core.settings import Settings
from infra import browser as installed_browser
from infra.services import object_store
from infra.stack import Stack
from infra.up import services_up
from spark_jobs.history import reach
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.tickers.reducer import AHEAD_LIMIT
from tests.conftest import STACK
from tests.support.extractor import Extractor
from tests.support.market import Market, Start, market_of
from tests.support.own_kafka import OwnKafka, own_kafka
from tests.support.queries import price_sink
from tests.support.server import ServerProcess, running_server
from tests.support.stacks import end_and_delete, new_database
from tests.support.waiting import shown

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

BUCKET_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The three services with topics, bucket and tables, stopped and deleted after the last test."""
    try:
        services_up(STACK)
        yield STACK
    finally:
        end_and_delete(STACK)


@pytest.fixture(scope="session")
def settings(stack: Stack) -> Settings:
    return stack.settings


@pytest.fixture
def database(stack: Stack) -> Settings:
    """The stack's settings with a new database for the test: all tables, no rows."""
    return new_database(stack)


@pytest.fixture
def lake(database: Settings, tmp_path: Path) -> Settings:
    """A new database and a new bucket for the test, with the shortest possible batches."""
    own = replace(
        database,
        s3_bucket=f"test-{next(BUCKET_NUMBERS)}",
        checkpoint_dir=str(tmp_path / "checkpoints"),
        lake_batch_seconds=1,
    )
    object_store.initialise(own)
    return own


@pytest.fixture
def owner(database: Settings) -> Iterator[connection]:
    """A connection to `database` as its owner, in autocommit mode."""
    with closing(psycopg2.connect(database.database_url)) as opened:
        opened.autocommit = True
        yield opened


@pytest.fixture
def job(database: Settings) -> Iterator[connection]:
    """A connection to `database` like that of a job's upkeep."""
    with closing(psycopg2.connect(database.database_url)) as opened:
        yield opened


@pytest.fixture
def sink(database: Settings) -> Iterator[PriceSink]:
    """The live job's sink, which writes to `database`."""
    with price_sink(database) as opened:
        yield opened


@pytest.fixture(scope="module")
def server(database: Settings) -> Iterator[ServerProcess]:
    """A server for the module, whose `database` must have module scope too."""
    with running_server(database.reader_database_url) as server:
        yield server


@pytest.fixture
def extractor(tmp_path: Path) -> Iterator[Callable[[str, Settings], Extractor]]:
    """A function that starts extractors with a journal in `tmp_path`; they are killed after the test."""
    started: list[Extractor] = []

    def start(exchange: str, settings: Settings) -> Extractor:
        settings = replace(settings, journal_dir=str(tmp_path / "journal"))
        started.append(Extractor(exchange, settings, tmp_path / f"{exchange}.log"))
        return started[-1]

    yield start
    for each in started:
        each.kill()
        print(shown(each.log()))


@pytest.fixture
def market(settings: Settings, extractor: Start) -> Iterator[Market]:
    """Both replay exchanges and one extractor for each, on the worker's stack."""
    with market_of(settings, extractor) as market:
        yield market


@pytest.fixture(scope="module")
def one_broker(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[OwnKafka]:
    """A separate Kafka for the module, which its tests may break."""
    with own_kafka(tmp_path_factory.mktemp("own-kafka"), settings) as broker:
        yield broker


@pytest.fixture
def broker(one_broker: OwnKafka) -> OwnKafka:
    """The module's Kafka with empty topics."""
    one_broker.renew_topics()
    return one_broker


@pytest.fixture
def own_market(broker: OwnKafka, extractor: Start) -> Iterator[Market]:
    """`market` with the separate Kafka of the module or test."""
    with market_of(broker.settings, extractor) as market:
        yield market


@pytest.fixture
def own_lake(lake: Settings, broker: OwnKafka) -> Settings:
    """`lake` with the module's separate Kafka, whose topics hold only this test's records."""
    return replace(lake, kafka_bootstrap_servers=broker.settings.kafka_bootstrap_servers)


@pytest.fixture
def agreeing_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the audit assume that the clocks of extractors and Kafka agree.

    Otherwise, if earlier records have expired, it skips the candles of the first 20 minutes after a topic's
    oldest record. A test's candles are only 10 minutes after it.
    """
    monkeypatch.setattr(reach, "KAFKA_AHEAD_LIMIT", AHEAD_LIMIT)


@pytest.fixture(scope="module")
def promtool() -> str:
    """Path of promtool. The run fails if it is not installed."""
    path = shutil.which("promtool")
    assert path is not None, "promtool is missing: install Debian's package prometheus"
    return path


# Module scope: with session scope, Playwright's event loop would still run when others start.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. The run fails if none is installed; `infra/browser.py` installs one."""
    path = installed_browser.find()
    assert path is not None, "no Chromium: run python infra/browser.py"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=SWITCHES)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own context: no cookie and no storage of another test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    # The two cores may also run a whole stack.
    expect.set_options(timeout=60_000)
    yield context.new_page()
    context.close()


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
