"""Items of both exchanges to one normalised ticker, and why an item can't be one."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC, KUCOIN_RAW_DATA
from spark_jobs.items import WHOLE_MESSAGE
from spark_jobs.schemas import AMOUNTS, FIELDS, TICKER
from spark_jobs.written import (
    MICROSECOND,
    MILLISECOND,
    amount,
    missing,
    moment,
    name_of,
    unusable,
    whole_number,
    written,
)

REQUIRED = ("symbol", "price", "event_time", "sequence", "received_at")
ORIGIN = ("endpoint", "timestamp", "topic", "partition", "offset", "position")

# So far may an extractor's clock be ahead of Kafka's. One that is not kept right drifts by minutes; one
# in a wrong time zone is half an hour out.
CLOCK_LIMIT = "INTERVAL 15 MINUTES"


def normalise(items: DataFrame) -> DataFrame:
    """The columns of schemas.TICKER, and `reason`: NULL, or why the item is a dead letter.

    A dead letter has NULL in what could not be read; topic, partition, offset, position are there.
    """
    values = {
        "symbol": name_of("symbol"),
        **{name: amount(name) for name in AMOUNTS},
        "traded_at": moment("traded_at", MILLISECOND),
        "event_time": event_time(),
        "sequence": whole_number("sequence"),
        "received_at": moment("received_at", MICROSECOND),
    }
    texts = items.select(
        *ORIGIN,
        F.col("item").isNull().alias("is_no_object"),
        F.col("item.unreadable").isNotNull().alias("is_unreadable"),
        *(written_value(name).alias(f"written_{name}") for name in values),
    )
    read = texts.select("*", *(value.alias(name) for name, value in values.items()))
    return read.select(exchange().alias("exchange"), "*").select(
        *TICKER, reason(values).alias("reason")
    )


def exchange() -> Column:
    return F.coalesce(
        *(F.when(F.col("topic") == topic, name) for topic, name in EXCHANGE_OF_TOPIC.items())
    )


def written_value(name: str) -> Column:
    """The text that the item has for a column of the ticker, from where its exchange keeps it."""
    return F.coalesce(
        *(
            F.when(F.col("topic") == topic, F.col(f"item.{fields[name]}"))
            for topic, fields in FIELDS.items()
            if name in fields
        )
    )


def event_time() -> Column:
    """Binance's own, or for KuCoin, which gives none, the time of receipt."""
    is_kucoin = F.col("topic") == KUCOIN_RAW_DATA
    return F.when(is_kucoin, moment("event_time", MICROSECOND)).otherwise(
        moment("event_time", MILLISECOND)
    )


def reason(names: Iterable[str]) -> Column:
    """The first thing that is wrong with an item, with its name and the value; NULL when nothing is."""
    return F.coalesce(
        F.when(F.col("is_no_object"), no_object()),
        F.when(F.col("is_unreadable"), "the extractor could not read this frame"),
        *(missing(name) for name in REQUIRED),
        *(unusable(name) for name in names),
        ahead_of_kafka(),
    )


def ahead_of_kafka() -> Column:
    """That the time of receipt can't be true: no later ticker would be newer until it has come.

    By the record's own timestamp, so that whoever reads it again decides the same.
    """
    is_ahead = F.col("received_at") - F.expr(CLOCK_LIMIT) > F.col("timestamp")
    reason = F.concat(F.lit("received_at is ahead of Kafka's clock: "), written("received_at"))
    return F.when(is_ahead, reason)


def no_object() -> Column:
    is_whole_message = F.col("position") == WHOLE_MESSAGE
    return F.when(is_whole_message, "the message is no JSON array").otherwise(
        "the item is no JSON object"
    )
