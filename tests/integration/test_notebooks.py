"""Run the notebooks of lake and pipeline from top to bottom; explore_raw on data of the replay exchange."""

import base64
import io
import os
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import psycopg2
import pytest
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.replay.server import Simulation
from infra.services import object_store
from infra.stack import Stack
from spark_jobs.lake.raw.archive import Archive
from spark_jobs.lake.tickers.table import TickerTable
from spark_jobs.run.consumer_groups import commit, member_of_no_group
from tests.support.extractor import Extractor
from tests.support.followed_pair import LEAD, ON_THE_WAY, SYMBOL_OF, prices, send
from tests.support.kafka import Topic, all_ends, all_items, ends, produce
from tests.support.lake import archived
from tests.support.lake_queries import run_price_history, run_raw_archive
from tests.support.live_job import insert, list_instruments
from tests.support.notebooks import executed, printed, shown
from tests.support.postgres import execute, start_at
from tests.support.queries import run_live_prices
from tests.support.replay_exchange import running, settings_at
from tests.support.stacks import new_database
from tests.support.waiting import wait_for

SECONDS = 5
DEADLINE = 120.0
COLOURS = {"binance": "#D55E00", "kucoin": "#0072B2"}


@pytest.fixture
def lake(
    settings: Settings,
    extractor: Callable[[str, Settings], Extractor],
    spark: SparkSession,
    tmp_path: Path,
) -> Settings:
    """A new bucket with some seconds of both exchanges in `raw/`."""
    own = replace(settings, s3_bucket=f"notebooks-{os.getpid()}")
    object_store.initialise(own)
    before = ends(own)
    with running(*Simulation().exchanges()) as address:
        exchange_settings = settings_at(
            own,
            address,
        )
        topics = [Topic(own, name) for name in EXCHANGE_OF_TOPIC]
        processes = [extractor(exchange, exchange_settings) for exchange in TOPIC_OF_EXCHANGE]
        wait_for(
            lambda: [seconds_of(topic) for topic in topics],
            lambda lengths: min(lengths) >= SECONDS,
            deadline=DEADLINE,
            pause=0.5,
        )
        assert [process.terminate() for process in processes] == [0, 0]
    run_raw_archive(spark, own, tmp_path, before)
    return own


def seconds_of(topic: Topic) -> float:
    """Return the seconds between the receipts of the first and the last item."""
    times = [item["received_at"] for item in all_items(topic.messages())]
    return (max(times) - min(times)) / 1e6 if times else 0.0


def rows(html: str) -> list[list[str]]:
    """Return a table's cells as text, without the header."""
    body = html.partition("<tbody>")[2]
    return [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def exchanges_in(plot: str) -> set[str]:
    """Return the exchanges whose colour is in the plot, a PNG in Base64."""
    picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(plot)))[:, :, :3]
    return {
        exchange
        for exchange, colour in COLOURS.items()
        if np.isclose(picture, matplotlib.colors.to_rgb(colour), atol=0.01).all(axis=2).any()
    }


def test_explore_raw_answers_all_its_questions(lake: Settings) -> None:
    cells = executed("explore_raw.ipynb", lake)

    plots = {cell.source: shown(cell, "image/png") for cell in cells if "plt.show()" in cell.source}
    assert [len(each) for each in plots.values()] == [1] * len(plots)
    drawn = [exchanges_in(plot) for [plot] in plots.values()]
    of_kucoin_alone = {"kucoin"}
    assert drawn.count(set(COLOURS)) == len(plots) - 1 and of_kucoin_alone in drawn

    tables = [rows(html) for cell in cells for html in shown(cell, "text/html")]
    assert all(tables)
    assert not any(
        value.strip().lower() == "nan" for table in tables for row in table for value in row
    )

    by_spark, by_duckdb = tables[:2]
    assert by_spark == by_duckdb
    topics = [row[0] for row in archived(lake, "raw")]
    assert {row[0]: int(row[1]) for row in by_spark} == {
        exchange: topics.count(topic) for topic, exchange in EXCHANGE_OF_TOPIC.items()
    }

    found = {row[0]: row[1:] for row in tables[-1]}
    assert found["sent by"][::2] == ["the replay exchange"] * 2
    assert found["symbols of a frame, median"][2] == "1"
    assert 100 < float(found["symbols of a frame, median"][0]) < 1440


MINUTE = timedelta(minutes=1)
MINUTES = 26
IN_TRANSACTION = timedelta(milliseconds=200)


@pytest.fixture(scope="module")
def course() -> dict[str, list[float]]:
    """The price of each second of the followed pair, by exchange."""
    return prices(MINUTES * 60)


@pytest.fixture(scope="module")
def followed(
    stack: Stack,
    spark: SparkSession,
    course: dict[str, list[float]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """A new database and a new bucket with 26 minutes of a pair, written to `tickers/` in two batches.

    Kafka has three dead letters, and one more message that no job has read.
    """
    own = replace(new_database(stack), s3_bucket=f"followed-{os.getpid()}")
    object_store.initialise(own)
    before = all_ends(own)
    end = datetime.now(UTC).replace(second=0, microsecond=0)
    start = end - MINUTES * MINUTE
    folder = tmp_path_factory.mktemp("followed")
    with closing(psycopg2.connect(own.database_url)) as owner, owner:
        start_at(owner, before)
        list_instruments(owner, *((*each, "BTC", "USDT", "TRADING") for each in SYMBOL_OF.items()))
        for exchange in SYMBOL_OF:
            insert(
                owner,
                "INSERT INTO feed_events VALUES %s",
                [
                    (exchange, None, "connection", None, start, None, 0),
                    (exchange, None, "interruption", "a test", start, start + 2 * MINUTE, 0),
                ],
            )
        # Two batches before that of this test.
        insert(
            owner,
            "INSERT INTO batches (rows_written, rows_refused, dead_letters, offsets, started_at,"
            " committed_at) VALUES %s",
            [
                (600, 0, 0, "{}", end - 5 * MINUTE, end - 5 * MINUTE + timedelta(milliseconds=took))
                for took in (100, 300)
            ],
        )
    seconds = range(MINUTES * 60)
    half = len(seconds) // 2
    send(own, start, seconds[:half], course)
    run_price_history(spark, own, folder, before)
    send(own, start, seconds[half:], course)
    produce(own, BINANCE.raw_topic, ["bad", "bad"], b"no JSON")
    run_price_history(spark, own, folder, before)
    run_raw_archive(spark, own, folder, before)
    run_live_prices(spark, own, folder)
    with closing(psycopg2.connect(own.database_url)) as owner, owner:
        committed = end - 4 * MINUTE
        execute(
            owner,
            "UPDATE batches SET started_at = %s, committed_at = %s WHERE offsets <> '{}'",
            committed - IN_TRANSACTION,
            committed,
        )
    progress = all_ends(own)
    produce(own, KUCOIN.raw_topic, b"not read yet")
    for query in ("live_prices", TickerTable.query, Archive.query):
        commit(member_of_no_group(own, query), progress)
    return own


def test_price_history_finds_which_exchange_leads(
    followed: Settings, course: dict[str, list[float]]
) -> None:
    cells = executed("price_history.ipynb", followed)

    plots = [plot for cell in cells for plot in shown(cell, "image/png")]
    without_colour: set[str] = set()
    assert [exchanges_in(plot) for plot in plots] == [set(COLOURS)] * 3 + [without_colour] * 2

    versions, again, agreement, figures = (
        rows(html) for cell in cells for html in shown(cell, "text/html")
    )
    half, whole = MINUTES * 60, 2 * MINUTES * 60
    assert [int(row[2]) for row in versions][-2:] == [half, whole]
    assert [row[:2] for row in again] == [[name, str(half // 2)] for name in sorted(COLOURS)]
    # Both minutes at the ends are left out.
    compared = str(MINUTES - 2)
    assert [row[:3] for row in agreement] == [
        [name, compared, compared] for name in sorted(COLOURS)
    ]
    found = {row[0]: row[1:] for row in figures}
    assert found["sent by"] == ["the replay exchange"] * 2
    assert found["return of a minute, standard deviation"] == [
        f"{deviation_of_returns(course[name]):.2f} bp" for name in sorted(COLOURS)
    ]
    assert printed(cells)[-1] == f"kucoin follows binance after {LEAD} s\n"


def deviation_of_returns(course: list[float]) -> float:
    """Return the standard deviation of the returns of the compared minutes, in basis points."""
    closes = np.array(course[59::60])[1:-1]
    return float(np.std(10_000 * np.diff(np.log(closes)), ddof=1))


def test_pipeline_health_measures_lag_latency_and_dead_letters(followed: Settings) -> None:
    cells = executed("pipeline_health.ipynb", followed)

    plots = [plot for cell in cells for plot in shown(cell, "image/png")]
    assert len(plots) == 5
    lag, latency, interruptions, causes, figures = (
        rows(html) for cell in cells for html in shown(cell, "text/html")
    )
    not_read = {"binance_raw_data": "0", "kucoin_raw_data": "1"}
    assert [row[-1] for row in lag] == [*not_read.values()] * 3
    means = [float(row[-4]) for row in latency]
    by_exchange = {
        name: means[5 * place : 5 * place + 5] for place, name in enumerate(sorted(COLOURS))
    }
    assert {name: parts[0] for name, parts in by_exchange.items()} == {
        BINANCE.name: ON_THE_WAY.total_seconds(),
        KUCOIN.name: 0,
    }
    for *parts, total in by_exchange.values():
        assert parts[3] == IN_TRANSACTION.total_seconds()
        assert sum(parts) == pytest.approx(total, abs=0.01)
    assert [row[0] for row in interruptions] == sorted(COLOURS)
    assert [row[2:] for row in interruptions] == [["120.0", "a test"]] * 2
    assert [row[1:3] for row in causes] == [
        ["the item is no JSON object", "2"],
        ["the message is no JSON array", "1"],
    ]
    found = dict(figures)
    assert found["batches in the last hour"] == "3"
    assert found["transaction of a batch, median"] == "200 ms"
    assert found["messages not read by live_prices"] == "1"
    assert found["interruptions in the last day"] == "2"
    assert found["dead letters in the last day"] == "3"
