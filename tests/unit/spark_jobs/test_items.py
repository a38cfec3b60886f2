"""Records to items: what becomes a row, and that nothing is lost beside what is bad."""

from datetime import UTC, datetime

from chispa import assert_df_equality
from pyspark.sql import DataFrame, SparkSession

from core.topics import KUCOIN_RAW_DATA
from spark_jobs.items import explode_items
from tests.support.frames import BTCUSDT, CRO_USDT, ETHUSDT, item, record, records, table

FOUND = (
    "endpoint STRING, timestamp TIMESTAMP, topic STRING, partition INT, offset LONG, position INT,"
    " s STRING, c STRING"
)


def symbols(exploded: DataFrame) -> list[tuple[int, str | None]]:
    rows = exploded.orderBy("offset", "position").select("position", "item.s", "item.subject")
    return [(row["position"], row["s"] or row["subject"]) for row in rows.collect()]


def test_each_element_of_the_array_is_a_row_that_says_where_it_came_from(
    spark: SparkSession,
) -> None:
    stamp = datetime(2025, 3, 28, 7, 37, 29, tzinfo=UTC)
    items = [item(BTCUSDT), item(ETHUSDT)]
    read = records(spark, record(items, partition=3, offset=17, timestamp=stamp))

    actual = explode_items(read).select(
        "endpoint", "timestamp", "topic", "partition", "offset", "position", "item.s", "item.c"
    )

    message = ("stream.binance.com", stamp, "binance_raw_data", 3, 17)
    expected = table(
        spark,
        [
            (*message, 0, "BTCUSDT", "85439.99000000"),
            (*message, 1, "ETHUSDT", "1916.44000000"),
        ],
        FOUND,
    )
    # Spark knows better than the literal rows which columns can't be NULL.
    assert_df_equality(actual, expected, ignore_nullable=True)


def test_numbers_stay_text_as_they_were_written(spark: SparkSession) -> None:
    read = records(spark, record([{"s": "X", "c": 1.10, "E": 1743147448467}]))
    (row,) = explode_items(read).select("item.c", "item.E").collect()
    assert row == ("1.1", "1743147448467")


def test_neighbours_of_an_element_that_is_no_object_arrive(spark: SparkSession) -> None:
    bad = ["bad", 7, None, [], True, [1, {"s": "Y"}]]
    messages = [[item(BTCUSDT), element, item(ETHUSDT)] for element in bad]
    read = records(spark, *(record(m, offset=n) for n, m in enumerate(messages)))
    assert symbols(explode_items(read)) == [(0, "BTCUSDT"), (1, None), (2, "ETHUSDT")] * len(bad)


def test_neighbours_of_a_kucoin_item_whose_data_is_no_object_arrive(spark: SparkSession) -> None:
    bad = {**item(CRO_USDT), "data": "gone"}
    read = records(spark, record([item(CRO_USDT), bad, item(CRO_USDT)], topic=KUCOIN_RAW_DATA))
    rows = explode_items(read).orderBy("position").select("item.data.price").collect()
    assert [row["price"] for row in rows] == ["0.10604", None, "0.10604"]


def test_a_message_that_is_no_array_is_one_row_at_position_minus_one(spark: SparkSession) -> None:
    no_arrays = [
        *(None, b"", b"not json", b"{}", b'{"s":"BTCUSDT"}', b"null", b"7"),
        *(b"\xff\xfe\x00", b'[{"s":', b"[}]"),
    ]
    read = records(spark, *(record(value, offset=n) for n, value in enumerate(no_arrays)))
    assert symbols(explode_items(read)) == [(-1, None)] * len(no_arrays)


def test_an_empty_array_gives_no_row_and_blanks_do_no_harm(spark: SparkSession) -> None:
    read = records(spark, record([]), record(b'\n [ {"s":"A"} ]\r\n', offset=1))
    assert symbols(explode_items(read)) == [(0, "A")]


def test_an_endpoint_that_is_no_host_is_null(spark: SparkSession) -> None:
    no_hosts = [None, b"", b"a host", b"a\x00b", b"\xff", b"x" * 300]
    read = records(spark, *(record([{}], endpoint=endpoint) for endpoint in no_hosts))
    assert [row["endpoint"] for row in explode_items(read).collect()] == [None] * len(no_hosts)
