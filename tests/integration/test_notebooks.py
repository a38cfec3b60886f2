"""Run the notebook of raw/ from top to bottom on data of the replay exchange."""

import base64
import io
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest
from pyspark.sql import SparkSession

from core.settings import Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from infra.replay.server import Simulation
from infra.services import object_store
from spark_jobs.kafka_source.records import kafka_records
from spark_jobs.kafka_source.topic_ids import topic_ids
from spark_jobs.lake.query import lake_query, lake_root
from spark_jobs.lake.raw.archive import Archive
from tests.support.extractor import Extractor
from tests.support.kafka import Topic, all_items, ends
from tests.support.lake import archived
from tests.support.notebooks import executed, shown
from tests.support.queries import run_once
from tests.support.replay_exchange import running, settings_at
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
    archive = Archive(spark, lake_root(own))
    progress = {**before, **archive.resume(list(before), topic_ids(own, EXCHANGE_OF_TOPIC))}
    records = kafka_records(spark, own, EXCHANGE_OF_TOPIC, progress)
    run_once(lake_query(records, archive, str(tmp_path / "checkpoint")))
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
