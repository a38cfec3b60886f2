"""Trace a stored price back to the exact text that the exchange sent.

    spark-submit spark_jobs/trace_price.py binance:BTCUSDT

Each row of live_prices names its Kafka message and its position in it. The message is read from Kafka,
or from `raw/` if Kafka does not hold it: it has expired, or its topic was created again.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import psycopg2
from pyspark.sql import DataFrame, SparkSession

from core.message import received_at_of
from core.settings import JOBS, Settings
from core.topics import TOPIC_OF_EXCHANGE
from spark_jobs.errors import JobError
from spark_jobs.history.history import History, raw_folders, raw_root, store_errors_converted
from spark_jobs.lake.raw.objects import RawObject
from spark_jobs.lake.raw.records import RawRecords
from spark_jobs.run.entry import run
from spark_jobs.run.runner import log_to_stderr
from spark_jobs.run.session import spark_session
from spark_jobs.tickers.element_reader import CLOCK_LIMIT
from spark_jobs.tickers.elements import elements_of
from spark_jobs.tickers.values import EXACT

EPOCH = datetime.fromtimestamp(0, UTC)

PRICE = """
SELECT exchange, symbol, price, topic, partition, "offset", position, received_at, endpoint
FROM live_prices WHERE exchange = %s AND symbol = %s
"""


class TraceError(JobError):
    """The argument is invalid, or the price or its Kafka message was not found. The text says which."""


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

    @property
    def topic_partition(self) -> tuple[str, int]:
        return self.topic, self.partition


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
    low, high = History(spark, settings).kept().get(price.topic_partition, (0, 0))
    in_kafka = low <= price.offset < high
    has_another_item = False
    for found_in, records in sources(spark, settings, price, in_kafka):
        for row in records.select("value").collect():
            item = item_at(price, bytes(row["value"] or b""))
            if item is not None:
                return Traced(price, item, found_in)
            has_another_item = True
    raise TraceError(f"{message_of(price)} {why_not_found(price, high, has_another_item)}")


def exchange_and_symbol(written: str) -> tuple[str, str]:
    """Return both parts of binance:BTCUSDT. Raise TraceError for another form or exchange."""
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


def sources(
    spark: SparkSession, settings: Settings, price: Price, in_kafka: bool
) -> Iterator[tuple[str, DataFrame]]:
    """Yield where the price's message may be, with the record there: Kafka, then objects of `raw/`.

    If the topic was created again, several messages have had the price's offset.
    """
    begin, end = {price.topic_partition: price.offset}, {price.topic_partition: price.offset + 1}
    if in_kafka:
        yield "Kafka", History(spark, settings).records(begin, end)
    for each in archived_objects(spark, settings, price):
        records = RawRecords(spark, raw_root(settings), [each]).without_duplicates(begin, end)
        if records is not None:
            yield each.path, records


def archived_objects(spark: SparkSession, settings: Settings, price: Price) -> Iterator[RawObject]:
    """Yield the objects of `raw/` with the price's offset, from its time of receipt on."""
    # The time of receipt is by the extractor's clock, which may be ahead of Kafka's; the folders are named
    # by Kafka's.
    since = price.received_at - timedelta(microseconds=CLOCK_LIMIT)
    with store_errors_converted(settings):
        folders, _topic_id = raw_folders(spark, settings, price.topic)
        for each in folders.objects(since):
            first, last = each.ranges.get(price.partition, (0, -1))
            if first <= price.offset <= last:
                yield each


def message_of(price: Price) -> str:
    return f"the message at offset {price.offset} of {price.topic}/{price.partition}"


def why_not_found(price: Price, high: int, has_another_item: bool) -> str:
    """Return the end of the sentence that begins with message_of. `high` is Kafka's end."""
    if has_another_item:
        return (
            f"has another item {price.position}: the topic was created again, and raw/ does not hold the "
            "former message"
        )
    if price.offset >= high:
        return (
            f"is not in Kafka, which ends at {high}, nor in raw/: was the topic created again, or is it "
            "another cluster?"
        )
    return (
        f"is in neither Kafka nor raw/ any more. It was received at {price.received_at.isoformat()}"
    )


def item_at(price: Price, message: bytes) -> str | None:
    """Return the text of the price's item; None if the message has another item there."""
    try:
        elements, _rest = elements_of(message)
        text = elements[price.position].text
        received_at = EPOCH + timedelta(microseconds=received_at_of(text.encode()))
    except (ValueError, RecursionError, IndexError, OverflowError):
        return None
    return text if received_at == price.received_at else None


def shown(traced: Traced) -> Iterator[str]:
    price = traced.price
    yield f"{price.exchange}:{price.symbol} {price.price.normalize(EXACT):f}"
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
