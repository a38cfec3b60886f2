"""Split tickers into arbitrary batches: the tables equal those of one sorted pass over all tickers."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection
from psycopg2.extras import execute_values
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from spark_jobs.kafka_source.offsets import Offsets
from spark_jobs.postgres.kafka_progress import ProgressError
from spark_jobs.postgres.price_sink import PriceSink
from spark_jobs.tickers.ticker_order import age_order, sql_age_order
from tests.support.frames import BTCUSDT, CRO_USDT, item, record
from tests.support.plain_tables import (
    CANDLES,
    LIVE,
    MILLISECOND,
    MINUTE,
    SECOND,
    candles,
    has_candle,
    moment,
    newest,
    tickers_of,
)
from tests.support.postgres import execute, rows
from tests.support.queries import write

START = round((datetime.now(UTC) - timedelta(hours=2)).timestamp()) * SECOND // MINUTE * MINUTE

# Few values around minute boundaries, so that ties are frequent.
MOMENTS = [0, MILLISECOND, MINUTE - MILLISECOND, MINUTE, MINUTE + 2 * MILLISECOND, 2 * MINUTE]
RECEIPTS = [*MOMENTS, 7 * MINUTE]
EVENTS = [*MOMENTS, 6 * MINUTE]
PRICES = ["0.000000000000000001", "1", "1.5", "20"]
PARTITIONS = (0, 1)

SQL_TABLES = "live_prices, candles_1m, kafka_progress, batches"
FEW_EXAMPLES = settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# A message: its partition and its items.
Message = tuple[int, list[dict[str, Any]]]


def binance_item(symbol: str, price: str, event: int, receipt: int) -> dict[str, Any]:
    event_time = (START + event) // MILLISECOND
    return item(BTCUSDT, START + receipt, s=symbol, c=price, E=event_time)


def kucoin_item(symbol: str, price: str, sequence: int, receipt: int) -> dict[str, Any]:
    changed = item(CRO_USDT, START + receipt, price=price, sequence=str(sequence))
    return {**changed, "subject": symbol}


SYMBOL, PRICE, RECEIPT = (st.sampled_from(values) for values in ("AB", PRICES, RECEIPTS))
BINANCE_ITEM = st.builds(binance_item, SYMBOL, PRICE, st.sampled_from(EVENTS), RECEIPT)
KUCOIN_ITEM = st.builds(kucoin_item, SYMBOL, PRICE, st.integers(0, 3), RECEIPT)


def messages_of(items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[Message]]:
    message = st.tuples(st.sampled_from(PARTITIONS), st.lists(items, min_size=1, max_size=4))
    return st.lists(message, min_size=1, max_size=6)


def kafka_records(messages: Sequence[Message], topic: str) -> list[Row]:
    """Return the messages as records, with consecutive offsets in each partition."""
    offsets = dict.fromkeys(PARTITIONS, 0)
    read = []
    for partition, items in messages:
        read.append(record(items, topic, partition, offsets[partition]))
        offsets[partition] += 1
    return read


@st.composite
def topics(draw: st.DrawFn) -> list[Row]:
    return [
        *kafka_records(draw(messages_of(BINANCE_ITEM)), BINANCE.raw_topic),
        *kafka_records(draw(messages_of(KUCOIN_ITEM)), KUCOIN.raw_topic),
    ]


@st.composite
def any_batches(draw: st.DrawFn) -> list[list[Row]]:
    """Draw batches with each record at least once, in any order; some repeat in other batches."""
    shuffled = draw(st.permutations(draw(topics())))
    cut = draw(st.integers(0, len(shuffled)))
    again = draw(st.lists(st.sampled_from(shuffled), max_size=4, unique_by=id))
    batches = [again, shuffled[:cut], again, shuffled[cut:]]
    return [batch for batch in draw(st.permutations(batches)) if batch]


@st.composite
def replayed_batches(draw: st.DrawFn) -> list[list[Row]]:
    """Draw batches as a job reads Kafka: each starts at or before the end of what was read."""
    log = draw(topics())
    reached: dict[tuple[str, int], int] = {}
    batches = []
    for is_last in (False, False, True):
        batch = []
        for partition in sorted({(row["topic"], row["partition"]) for row in log}):
            rest = [row for row in log if (row["topic"], row["partition"]) == partition]
            begin = draw(st.integers(0, reached.get(partition, 0)))
            end = len(rest) if is_last else draw(st.integers(begin, len(rest)))
            batch += rest[begin:end]
            reached[partition] = max(reached.get(partition, 0), end)
        batches += [batch] if batch else []
    return batches


def beyond(batch: Iterable[Row], progress: Offsets) -> list[Row]:
    return [
        row for row in batch if row["offset"] >= progress.get((row["topic"], row["partition"]), 0)
    ]


def without_updates(found: Iterable[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    return {candle[:-1] for candle in found}


@FEW_EXAMPLES
@given(batches=any_batches())
def test_any_batches_in_any_order_and_repeated_give_the_tables_of_one_sorted_pass(
    spark: SparkSession, sink: PriceSink, owner: connection, batches: list[list[Row]]
) -> None:
    execute(owner, f"TRUNCATE {SQL_TABLES}")
    sink.postgres.progress()
    for batch in batches:
        write(spark, sink, *batch)
        # Forget that the batch was written.
        execute(owner, "TRUNCATE kafka_progress")
        sink.postgres.progress()
    read = {(row["topic"], row["partition"], row["offset"]): row for b in batches for row in b}
    tickers = tickers_of(read.values())
    assert set(rows(owner, LIVE)) == newest(tickers)
    assert without_updates(rows(owner, CANDLES)) == without_updates(candles(tickers))


@FEW_EXAMPLES
@given(batches=replayed_batches())
def test_replayed_batches_count_each_ticker_once(
    spark: SparkSession, sink: PriceSink, owner: connection, batches: list[list[Row]]
) -> None:
    execute(owner, f"TRUNCATE {SQL_TABLES}")
    sink.postgres.progress()
    for batch in batches:
        try:
            write(spark, sink, *batch)
        except ProgressError:
            # The job has failed; the next one resumes at the progress in Postgres.
            write(spark, sink, *beyond(batch, sink.postgres.progress()))
    read = {(row["topic"], row["partition"], row["offset"]): row for b in batches for row in b}
    tickers = tickers_of(read.values())
    assert set(rows(owner, LIVE)) == newest(tickers)
    assert set(rows(owner, CANDLES)) == candles(tickers)
    count = "SELECT sum(without_candle) FROM batches"
    assert rows(owner, count) == [(sum(not has_candle(ticker) for ticker in tickers),)]


# received_at in microseconds, sequence, partition, offset, position.
Age = tuple[int, int, int, int, int]
AGE = st.tuples(
    st.sampled_from([START + receipt + n for receipt in RECEIPTS for n in (-1, 0, 1)])
    | st.integers(946_684_800 * SECOND, 4_102_444_800 * SECOND),
    st.integers(0, 2) | st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 1),
    st.integers(0, 1) | st.integers(0, 2**63 - 1),
    st.integers(0, 1),
)
PAIRS = st.lists(st.tuples(AGE, AGE).filter(lambda pair: pair[0] != pair[1]), min_size=50)
COLUMNS = (
    "id BOOLEAN, received_at TIMESTAMP, sequence LONG, partition INT, offset LONG, position INT"
)


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(pairs=PAIRS)
def test_spark_and_sql_agree_on_which_of_two_is_newer(
    spark: SparkSession, owner: connection, pairs: list[tuple[Age, Age]]
) -> None:
    expected = [
        (left[0] // MINUTE, left[1], left[0], *left[2:])
        > (right[0] // MINUTE, right[1], right[0], *right[2:])
        for left, right in pairs
    ]
    sides = [
        (pair, is_left, moment(age[0]), *age[1:])
        for pair, ages in enumerate(pairs)
        for is_left, age in zip((True, False), ages, strict=True)
    ]
    by_pair = spark.createDataFrame(sides, f"pair INT, {COLUMNS}").groupBy("pair")
    newer = by_pair.agg(F.max_by("id", age_order()).alias("is_left_newer")).orderBy("pair")
    assert [row["is_left_newer"] for row in newer.collect()] == expected

    execute(owner, "DROP TABLE IF EXISTS sides")
    execute(
        owner,
        "CREATE TEMPORARY TABLE sides (pair int, is_left bool, received_at timestamptz,"
        ' sequence bigint, partition int, "offset" bigint, position int)',
    )
    with owner.cursor() as statements:
        execute_values(statements, "INSERT INTO sides VALUES %s", sides, page_size=len(sides))
    found = rows(
        owner,
        f"SELECT {sql_age_order('a')} > {sql_age_order('b')} FROM sides a JOIN sides b USING (pair)"
        " WHERE a.is_left AND NOT b.is_left ORDER BY pair",
    )
    assert [is_newer for (is_newer,) in found] == expected
