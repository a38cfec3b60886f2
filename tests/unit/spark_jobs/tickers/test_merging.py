"""Merging of sorted runs: every row once, in order, with little of each run in memory."""

from collections.abc import Iterator
from random import Random

import pyarrow as pa
import pytest

from spark_jobs.tickers.columns import as_table
from spark_jobs.tickers.files import COLUMNS, SCHEMA
from spark_jobs.tickers.merging import grouped, merged, sorted_rows, with_schema
from tests.support.ticker_table import tickers

SYMBOLS = ("BTCUSDT", "ETHUSDT", "币安人生USDT", "1INCHUSDT")


def run(symbols: tuple[str, ...], count: int, offset: int) -> pa.Table:
    return sorted_rows(as_table(tickers(symbols, count, offset), COLUMNS))


def keys(table: pa.Table) -> list[tuple[str, int, int]]:
    names = ("symbol", "received_at", "offset")
    columns = (table[name].cast("int64") if name != "symbol" else table[name] for name in names)
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_rows_of_all_runs_are_there_once_and_in_order(seed: int) -> None:
    random = Random(seed)
    runs = [
        run(
            tuple(random.sample(SYMBOLS, random.randint(1, len(SYMBOLS)))),
            random.randint(1, 300),
            number,
        )
        for number in range(random.randint(1, 8))
    ]
    batches = (table.to_batches(max_chunksize=random.randint(1, 50)) for table in runs)
    rows = pa.concat_tables(merged(batches))
    in_order = keys(rows)
    assert sorted(in_order) == sorted(key for table in runs for key in keys(table))
    assert [key[:2] for key in in_order] == sorted(key[:2] for key in in_order)
    whole = [sorted(table.to_pylist(), key=str) for table in (rows, pa.concat_tables(runs))]
    assert whole[0] == whole[1]


def test_a_run_is_read_as_far_as_it_is_needed() -> None:
    read = [0, 0]

    def counted(number: int, table: pa.Table) -> Iterator[pa.RecordBatch]:
        for batch in table.to_batches(max_chunksize=10):
            read[number] += 1
            yield batch

    runs = [run(("BTCUSDT",), 1000, 0), run(("ETHUSDT",), 1000, 1)]
    tables = merged(counted(number, table) for number, table in enumerate(runs))
    assert len(next(tables)) == 10
    assert read == [2, 1]


def test_without_a_row_nothing_is_yielded() -> None:
    assert list(merged([])) == []
    assert list(merged([SCHEMA.empty_table().to_batches()])) == []


@pytest.mark.parametrize(("part", "count"), [(4, 33), (25, 33), (10, 33), (4, 30)])
def test_tables_are_put_together_and_split_to_the_size(part: int, count: int) -> None:
    table = run(SYMBOLS, count, 0)
    parts = (table.slice(start, part) for start in range(0, count, part))
    groups = [*grouped(parts, 10)]
    assert [len(group) for group in groups] == [10, 10, 10, 3][: -(-count // 10)]
    assert pa.concat_tables(groups) == table


def test_a_column_that_an_earlier_version_did_not_have_is_null_and_one_of_a_later_is_refused() -> (
    None
):
    [batch] = run(SYMBOLS, 4, 0).drop_columns(["endpoint"]).to_batches()
    assert with_schema(batch).schema == SCHEMA
    assert with_schema(batch).column("endpoint").null_count == 4
    later = pa.Table.from_batches([batch]).append_column("spread", pa.array([1.0] * 4))
    with pytest.raises(ValueError, match="spread"):
        with_schema(later.to_batches()[0])


def test_times_that_spark_wrote_as_int96_are_utc() -> None:
    [batch] = run(SYMBOLS, 4, 0).to_batches()
    place = batch.schema.get_field_index("received_at")
    without_zone = batch.column(place).cast(pa.int64()).cast(pa.timestamp("us"))
    old = pa.Table.from_batches([batch]).set_column(place, "received_at", without_zone)
    assert with_schema(old.to_batches()[0]).equals(batch)
