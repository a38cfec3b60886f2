"""The table of each earlier version is brought up to date, and that of a later version is refused."""

from collections.abc import Sequence
from pathlib import Path

import deltalake
import pytest

from core.reading_rules import READING_RULES, TABLE_PROPERTY
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.lake.tickers import schema
from spark_jobs.lake.tickers.log import TickerLog
from spark_jobs.lake.tickers.progress import Progress, TableError
from spark_jobs.lake.tickers.schema import (
    EARLIER,
    FORMER,
    NUMBER,
    STEPS,
    SchemaStep,
    bring_up_to_date,
)
from spark_jobs.tickers.columns import AMOUNT, TICKER
from spark_jobs.tickers.files import WITH_STATISTICS
from tests.compatibility.kept import Version, versions
from tests.support.ticker_table import LONG_AFTER, OwnTable, tickers

VERSIONS = versions()
NEXT = (
    *STEPS,
    SchemaStep(columns={"spread": AMOUNT}, properties={"delta.checkpointInterval": "7"}),
)


@pytest.fixture(params=VERSIONS, ids=[version.name for version in VERSIONS])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the folder of the table that a version has written."""
    version: Version = request.param
    for key, content in version.objects("tickers").items():
        if not key.endswith("/"):
            (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / key).write_bytes(content)
    return tmp_path / "tickers"


def opened(folder: Path) -> TickerLog:
    return TickerLog.open(f"file:{folder}", {}, "w")


def properties(folder: Path) -> dict[str, str]:
    return dict(deltalake.DeltaTable(str(folder)).metadata().configuration)


def columns(folder: Path) -> list[str]:
    return [field.name for field in deltalake.DeltaTable(str(folder)).schema().fields]


def test_the_steps_make_the_columns_that_are_written() -> None:
    assert schema.columns() == {**TICKER, "date": "DATE"}
    statistics = STEPS[0].properties["delta.dataSkippingStatsColumns"]
    assert statistics == ",".join(WITH_STATISTICS)


def test_a_new_table_has_all_steps(tmp_path: Path) -> None:
    folder = OwnTable(tmp_path).folder
    assert columns(folder) == list(schema.columns())
    expected = {name: value for step in STEPS for name, value in step.properties.items()}
    assert properties(folder) == {
        **expected,
        NUMBER: str(len(STEPS)),
        TABLE_PROPERTY: str(READING_RULES),
    }


def test_the_table_of_an_earlier_version_gets_what_it_lacks_and_keeps_rows_and_progress(
    kept: Path,
) -> None:
    before = deltalake.DeltaTable(str(kept))
    rows = before.to_pyarrow_table().to_pylist()
    progress = Progress.from_json(before.history(1)[0]["userMetadata"])
    assert opened(kept).progress == progress
    assert properties(kept)[NUMBER] == str(len(STEPS))
    assert properties(kept)["delta.targetFileSize"] == "134217728"
    after = deltalake.DeltaTable(str(kept))
    assert after.to_pyarrow_table().to_pylist() == rows
    version = after.version()
    assert opened(kept).progress == progress
    assert deltalake.DeltaTable(str(kept)).version() == version


def test_a_later_step_adds_a_column_which_is_null_in_earlier_rows(kept: Path) -> None:
    log = opened(kept)
    bring_up_to_date(deltalake.DeltaTable(str(kept)), log.progress, NEXT)
    table = deltalake.DeltaTable(str(kept))
    assert columns(kept)[-1] == "spread"
    assert properties(kept)["delta.checkpointInterval"] == "7"
    spreads = table.to_pyarrow_table(columns=["spread"])["spread"]
    assert spreads.null_count == len(spreads) > 0


def test_a_step_that_was_interrupted_is_finished(kept: Path) -> None:
    log = opened(kept)
    # The first of a step's two commits.
    only_columns = SchemaStep(columns=NEXT[-1].columns)
    bring_up_to_date(deltalake.DeltaTable(str(kept)), log.progress, (*STEPS, only_columns))
    table = deltalake.DeltaTable(str(kept))
    table.alter.set_table_properties({NUMBER: str(len(STEPS))}, raise_if_not_exists=False)
    bring_up_to_date(table, log.progress, NEXT)
    assert columns(kept).count("spread") == 1
    assert properties(kept)[NUMBER] == str(len(NEXT))
    assert properties(kept)["delta.checkpointInterval"] == "7"


def test_the_table_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    table = OwnTable(tmp_path)
    table.write(tickers(["BTCUSDT"], 3, 0))
    bring_up_to_date(deltalake.DeltaTable(str(table.folder)), table.log.progress, NEXT)
    version = deltalake.DeltaTable(str(table.folder)).version()
    with pytest.raises(TableError, match=rf"step {len(NEXT)}, and this version knows {len(STEPS)}"):
        opened(table.folder)
    assert deltalake.DeltaTable(str(table.folder)).version() == version


def test_a_rebuild_records_which_rows_are_of_earlier_rules(tmp_path: Path) -> None:
    binance, kucoin = BINANCE.raw_topic, KUCOIN.raw_topic
    table = OwnTable(tmp_path)
    deltalake.DeltaTable(str(table.folder)).alter.set_table_properties(
        {TABLE_PROPERTY: "1"}, raise_if_not_exists=False
    )

    def recorded(begins: Offsets, former: Sequence[str]) -> tuple[str, str, str]:
        opened(table.folder).record_rebuild(begins, former)
        found = properties(table.folder)
        return found[TABLE_PROPERTY], found[EARLIER], found[FORMER]

    rules = str(READING_RULES)
    first = {(binance, 0): 0, (kucoin, 0): 7}
    of_kucoin = f'{{"{kucoin}": {{"0": 7}}}}'
    assert recorded(first, [binance]) == (rules, of_kucoin, f'["{binance}"]')
    assert recorded(first, [binance]) == (rules, of_kucoin, f'["{binance}"]')
    # A topic that was created again since then is recorded only if it had rows below the offsets.
    again = {(binance, 0): 0, (kucoin, 0): 0}
    without = f'{{"{kucoin}": {{"0": 0}}}}'
    assert recorded(again, [kucoin]) == (rules, without, f'["{kucoin}"]')
    assert recorded(again, [binance, kucoin]) == (rules, without, f'["{kucoin}"]')
    assert recorded(again, []) == (rules, without, "[]")


@pytest.mark.long
def test_the_upkeep_writes_the_files_of_an_earlier_version_anew(kept: Path) -> None:
    rows = deltalake.DeltaTable(str(kept)).to_pyarrow_table().to_pylist()
    table = OwnTable(kept.parent)
    upkeep = table.upkeep()
    while upkeep.look(LONG_AFTER):
        pass
    after = deltalake.DeltaTable(str(kept)).to_pyarrow_table().to_pylist()
    assert sorted(map(str, after)) == sorted(map(str, rows))
    assert len(table.log.files()) == len({(row["date"], row["exchange"]) for row in rows})
