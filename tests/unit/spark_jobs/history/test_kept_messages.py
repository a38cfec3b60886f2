"""A message has the same endpoint whether it is read with or without Spark."""

from pyspark.sql import SparkSession

from spark_jobs.history.kept_messages import endpoint_of
from spark_jobs.tickers.messages import messages
from tests.support.frames import record, records

WRITTEN = [
    *(b"stream.binance.com", b"127.0.0.1:8090", b"[::1]:9443", b"a_b-c", b"x" * 255),
    *(None, b"", b"a host", b"a\x00b", b"a\n", b"\xff", b"x" * 256, "币".encode()),
]


def test_the_endpoint_is_the_one_that_the_jobs_read(spark: SparkSession) -> None:
    rows = [record([{}], endpoint=host, offset=n) for n, host in enumerate(WRITTEN)]
    read = messages(records(spark, *rows)).orderBy("offset").collect()
    headers = [[(each["key"], bytes(each["value"])) for each in row["headers"]] for row in rows]
    assert [endpoint_of(each) for each in headers] == [row["endpoint"] for row in read]
    assert [row["endpoint"] for row in read][:5] == [host.decode() for host in WRITTEN[:5] if host]
    assert endpoint_of([("other", b"a"), ("endpoint", b"b"), ("endpoint", b"c")]) == "b"
    assert endpoint_of([("endpoint", None)]) is None
