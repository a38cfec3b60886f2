"""Items of both exchanges to one normalised ticker, and why an item can't be one."""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC, KUCOIN_RAW_DATA
from spark_jobs.items import WHOLE_MESSAGE
from spark_jobs.schemas import AMOUNTS, FIELDS, TICKER

# DECIMAL(38,18) holds 20 digits before the point and 18 behind it. A cast would round what has more.
EXACT_AMOUNT = r"^-?[0-9]{1,20}(\.[0-9]{1,18}0*)?$"
SYMBOL_LENGTH = 100
SHOWN_LENGTH = 100

# 2000-01-01 to 2100-01-01, in microseconds. What lies outside is no time of a price, and would
# overflow further on.
EARLIEST, LATEST = 946_684_800_000_000, 4_102_444_800_000_000
MICROSECOND, MILLISECOND = 1, 1000

REQUIRED = ("symbol", "price", "event_time", "sequence", "received_at")
ORIGIN = ("endpoint", "topic", "partition", "offset", "position")


def normalise(items: DataFrame) -> DataFrame:
    """The columns of schemas.TICKER, and `reason`: NULL, or why the item is a dead letter.

    A dead letter has NULL in what could not be read; topic, partition, offset, position are there.
    """
    values = {
        "symbol": symbol(),
        **{name: amount(name) for name in AMOUNTS},
        "traded_at": moment("traded_at", MILLISECOND),
        "event_time": event_time(),
        "sequence": whole_number("sequence"),
        "received_at": moment("received_at", MICROSECOND),
    }
    written = items.select(
        *ORIGIN,
        F.col("item").isNull().alias("is_no_object"),
        F.col("item.unreadable").isNotNull().alias("is_unreadable"),
        *(written_value(name).alias(f"written_{name}") for name in values),
    )
    read = written.select("*", *(value.alias(name) for name, value in values.items()))
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


def symbol() -> Column:
    """NULL for what Postgres refuses in a key: nothing, a NUL character, kilobytes."""
    text = F.col("written_symbol")
    is_usable = F.length(text).between(1, SYMBOL_LENGTH) & ~text.contains("\0")
    return F.when(is_usable, text)


def amount(name: str) -> Column:
    """DECIMAL(38,18), exactly the number that was written, or NULL."""
    text = F.col(f"written_{name}")
    return F.when(text.rlike(EXACT_AMOUNT), text.try_cast("DECIMAL(38,18)"))


def whole_number(name: str) -> Column:
    return F.col(f"written_{name}").try_cast("BIGINT")


def moment(name: str, unit: int) -> Column:
    """A time that was written as a count of units, of so many microseconds each, since the epoch; or NULL."""
    count = whole_number(name)
    is_plausible = count.between(EARLIEST // unit, LATEST // unit)
    return F.when(is_plausible, F.timestamp_micros(count * unit))


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
        *(F.when(F.col(f"written_{n}").isNull(), F.lit(f"{n} is missing")) for n in REQUIRED),
        *(unusable(name) for name in names),
    )


def no_object() -> Column:
    is_whole_message = F.col("position") == WHOLE_MESSAGE
    return F.when(is_whole_message, "the message is no JSON array").otherwise(
        "the item is no JSON object"
    )


def unusable(name: str) -> Column:
    """What was written but could not be read. Without NUL, which Postgres refuses in text."""
    text = F.col(f"written_{name}")
    shown = F.translate(F.left(text, F.lit(SHOWN_LENGTH)), "\0", "\ufffd")
    message = F.concat(F.lit(f"{name} can't be read: "), shown)
    return F.when(text.isNotNull() & F.col(name).isNull(), message)
