"""Trace a stored price back to the exact text that the exchange sent.

    spark-submit spark_jobs/trace_price.py binance:BTCUSDT

Each row of live_prices names its Kafka message and its position in it. The message is read from Kafka,
or from `raw/` if Kafka no longer holds it.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg2
from pyspark.sql import SparkSession

from core.message import received_at_of
from core.settings import JOBS, Settings
from core.topics import EXCHANGE_OF_TOPIC, TOPIC_OF_EXCHANGE
from spark_jobs.errors import JobError
from spark_jobs.history.history import History, raw_folders, store_errors_converted
from spark_jobs.lake.raw.objects import RawObject
from spark_jobs.run.entry import run
from spark_jobs.run.runner import log_to_stderr
from spark_jobs.run.session import spark_session
from spark_jobs.tickers.element_reader import CLOCK_LIMIT
from spark_jobs.tickers.elements import elements_of

EPOCH = datetime.fromtimestamp(0, UTC)

PRICE = """
SELECT exchange, symbol, price, topic, partition, "offset", position, received_at, endpoint
FROM live_prices WHERE exchange = %s AND symbol = %s
"""


class TraceError(JobError):
    """The price or its Kafka message was not found. The error's text says which."""


class Price(NamedTuple):
    """A row of live_prices."""

    exchange: str
    symbol: str
    price: Decimal
    topic: str
    partition: int
    offset: int
    position: int
    received_at: datetime
    endpoint: str | None


class Traced(NamedTuple):
    """`item` is the text in the message; `found_in` is Kafka or an object's path."""

    price: Price
    item: str
    found_in: str


def trace(spark: SparkSession, settings: Settings, symbol: str) -> Traced:
    """Return the source of a price. An example of `symbol` is kucoin:BTC-USDT.

    Raise TraceError if there is no such price, or if neither Kafka nor `raw/` holds its message any
    more.
    """
    price = stored_price(settings, *exchange_and_symbol(symbol))
    partition = price.topic, price.partition
    low, high = History(spark, settings).kept().get(partition, (0, 0))
    if price.offset >= high:
        raise TraceError(
            f"{message_of(price)} is not in Kafka, which ends at {high}: is it another cluster?"
        )
    objects: list[RawObject] = []
    found_in = "Kafka"
    if price.offset < low:
        holder = archived_object(spark, settings, price)
        objects, found_in = [holder], holder.path
    history = History(spark, settings, objects)
    records = history.records({partition: price.offset}, {partition: price.offset + 1})
    values = [bytes(row["value"] or b"") for row in records.select("value").collect()]
    if not values:
        raise TraceError(f"{message_of(price)} is not in {found_in}, which should hold it")
    return Traced(price, item_at(price, values[0]), found_in)


def exchange_and_symbol(written: str) -> tuple[str, str]:
    """Return both parts of binance:BTCUSDT. Raise TraceError if `written` is not of this form."""
    exchange, _, symbol = written.partition(":")
    if exchange not in TOPIC_OF_EXCHANGE or not symbol:
        known = ", ".join(TOPIC_OF_EXCHANGE)
        raise TraceError(f"SYMBOL={written}: write exchange:symbol. The exchanges are {known}")
    return exchange, symbol


def stored_price(settings: Settings, exchange: str, symbol: str) -> Price:
    with closing(psycopg2.connect(settings.database_url)) as database:
        with database, database.cursor() as statements:
            statements.execute(PRICE, (exchange, symbol))
            row = statements.fetchone()
    if row is None:
        raise TraceError(f"live_prices has no price of {exchange}:{symbol}")
    return Price(*row)


def archived_object(spark: SparkSession, settings: Settings, price: Price) -> RawObject:
    """Return the object of `raw/` with the message. Search the folders from the time of receipt on."""
    # The time of receipt is the extractor's, whose clock may be ahead of Kafka's, which names the
    # folders.
    since = price.received_at - timedelta(microseconds=CLOCK_LIMIT)
    with store_errors_converted(settings):
        folders, topic_id = raw_folders(spark, settings, price.topic)
        for each in folders.objects(since):
            first, last = each.ranges.get(price.partition, (0, -1))
            if first <= price.offset <= last and folders.own([each], topic_id):
                return each
    raise TraceError(
        f"{message_of(price)} is in neither Kafka nor raw/ any more. It was received at "
        f"{price.received_at.isoformat()}"
    )


def message_of(price: Price) -> str:
    return f"the message at offset {price.offset} of {price.topic}/{price.partition}"


def item_at(price: Price, message: bytes) -> str:
    """Return the text of the price's item. Raise TraceError if the message has another item there."""
    try:
        elements, _rest = elements_of(message)
        text = elements[price.position].text
        received_at = EPOCH + timedelta(microseconds=received_at_of(text.encode()))
    except (ValueError, RecursionError, IndexError):
        received_at = None
    if received_at != price.received_at:
        raise TraceError(
            f"{message_of(price)} has another item {price.position}: the topic was created again"
        )
    return text


def shown(traced: Traced) -> Iterator[str]:
    price = traced.price
    yield f"{EXCHANGE_OF_TOPIC[price.topic]}:{price.symbol} {price.price.normalize():f}"
    yield f"place:    {price.topic}/{price.partition}, offset {price.offset}, item {price.position}"
    yield f"received: {price.received_at.isoformat()}"
    yield f"endpoint: {price.endpoint or 'not known'}"
    yield f"found in: {traced.found_in}"
    yield traced.item


def main() -> None:
    parser = argparse.ArgumentParser(prog="trace_price")
    parser.add_argument("symbol", metavar="EXCHANGE:SYMBOL", help="for example binance:BTCUSDT")
    symbol = parser.parse_args().symbol
    settings = Settings.from_environment(JOBS)
    spark = spark_session("trace_price")
    print("\n".join(shown(trace(spark, settings, symbol))))
    spark.stop()


if __name__ == "__main__":
    log_to_stderr()
    run("trace_price", main)
