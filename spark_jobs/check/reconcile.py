"""Compare the items in Kafka's messages with `raw/`, `tickers/` and `landing/`, by exchange and minute.

Messages are compared one by one, so that a surplus in one can't hide a lack in another. Then they are
summed by the minute of Kafka's timestamp. `landing/` has no messages: there the minute is that of
received_at, and only minutes that are complete on both sides are compared.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.check.stored_tickers import StoredTickers
from spark_jobs.check.verdicts import SHOWN, Verdict, lines
from spark_jobs.history.history import Hole
from spark_jobs.history.message_counts import IS_MESSAGE, IS_RECEIPT, MESSAGE_KEY, digest
from spark_jobs.kafka_source.offsets import Offsets, before_ends

LANDING_DELAY = "INTERVAL 2 MINUTES"
"""Maximum delay of an item in `landing/`: 1 minute to close its segment, and 1 to upload it."""

MINUTE = ("exchange", "minute")
ITEMS = ("tickers", "no_price", "dead")


def messages_of(rows: DataFrame) -> DataFrame:
    """Return the messages in rows with message_counts.COUNTED, with the minute of Kafka's timestamp."""
    found = rows.where(F.col("kind") == IS_MESSAGE)
    return found.select(
        "exchange",
        *MESSAGE_KEY,
        F.date_trunc("minute", "stamped_at").alias("minute"),
        "stamped_at",
        "received_at",
        "digest",
        *ITEMS,
        (F.col("tickers") + F.col("no_price") + F.col("dead")).alias("items"),
    )


def raw_verdict(
    messages: DataFrame, archived: DataFrame, until: Offsets, holes: list[Hole]
) -> Verdict:
    """Compare the messages below `until` with the records of `raw/`, which include duplicates."""
    copies = archived.groupBy(*MESSAGE_KEY).agg(
        F.count("*").alias("copies"),
        F.min(digest()).alias("least"),
        F.max(digest()).alias("greatest"),
    )
    compared = messages.transform(before_ends, until).join(copies, [*MESSAGE_KEY], "left")
    is_same = (F.col("least") == F.col("digest")) & (F.col("greatest") == F.col("digest"))
    by_minute = compared.groupBy(*MINUTE).agg(
        F.sum("items").alias("items"),
        F.sum(F.col("items") * F.coalesce("copies", F.lit(0))).alias("archived"),
        F.count_if(F.col("copies").isNull()).alias("missing"),
        F.count_if(F.col("copies") > 1).alias("repeated"),
        F.count_if(~is_same).alias("changed"),
    )
    differs = F.greatest("missing", "repeated", "changed") > 0
    text = sentence(
        "{} items in messages, {} in raw/; messages: {} missing, {} repeated, {} changed",
        *("items", "archived", "missing", "repeated", "changed"),
    )
    faults = [
        f"{hole.topic}/{hole.partition} offsets {hole.first} to {hole.end - 1}: neither in raw/ nor in Kafka"
        for hole in holes
    ]
    absent = [f"raw/ has nothing of {topic}" for topic in _absent_from_raw(messages, until)]
    return with_faults(minutes_verdict("raw/", by_minute, differs, text), [*absent, *faults])


def _absent_from_raw(messages: DataFrame, until: Offsets) -> list[str]:
    """Return the topics without an object, although `raw/` has a later message of another topic."""
    topics = sorted({topic for topic, _partition in until})
    newest = messages.transform(before_ends, until).agg(F.max("stamped_at").alias("newest"))
    others = messages.where(~F.col("topic").isin(topics))
    firsts = others.groupBy("topic").agg(F.min("stamped_at").alias("first")).crossJoin(newest)
    return _sorted_names(firsts.where(F.col("first") < F.col("newest")), "topic")


def _sorted_names(rows: DataFrame, column: str) -> list[str]:
    return sorted(row[column] for row in rows.select(column).distinct().collect())


def tickers_verdict(messages: DataFrame, tickers: StoredTickers, since: datetime) -> Verdict:
    """Compare messages with the rows of `tickers/`, up to the progress of the table.

    Messages received before `since` are not compared: their rows may have been dropped.
    """
    is_kept = F.col("received_at").isNull() | (F.col("received_at") >= since)
    compared = messages.transform(before_ends, tickers.until).where(is_kept)
    by_minute = (
        compared.join(_stored(compared, tickers.rows), [*MESSAGE_KEY], "left")
        .withColumn("stored", F.coalesce("stored", F.lit(0)))
        .groupBy(*MINUTE)
        .agg(
            *(F.sum(name).alias(name) for name in (*ITEMS, "items", "stored")),
            F.count_if(F.col("stored") < F.col("tickers")).alias("lacking"),
            F.count_if(F.col("stored") > F.col("tickers")).alias("exceeding"),
        )
    )
    text = sentence(
        "{} items in messages: {} tickers, {} without a price, {} dead letters; {} rows in tickers/; "
        "messages: {} with too few rows, {} with too many",
        *("items", *ITEMS, "stored", "lacking", "exceeding"),
    )
    differs = F.greatest("lacking", "exceeding") > 0
    found = minutes_verdict("tickers/", by_minute, differs, text)
    return with_faults(found, [f"{file} is gone from the store" for file in tickers.missing])


def _stored(messages: DataFrame, rows: DataFrame) -> DataFrame:
    """Return the number of rows of each message.

    Rows that were received before the first item of their message belong to a former topic of that name.
    Times are compared in whole seconds: nobody deletes a topic and creates it again within one.
    """
    received = F.date_trunc("second", "received_at")
    counted = rows.groupBy(*MESSAGE_KEY, received.alias("received")).agg(F.count("*").alias("n"))
    firsts = messages.select(*MESSAGE_KEY, received.alias("first"))
    own = counted.join(firsts, [*MESSAGE_KEY]).where(F.col("received") >= F.col("first"))
    return own.groupBy(*MESSAGE_KEY).agg(F.sum("n").alias("stored"))


def with_faults(found: Verdict, faults: Sequence[str]) -> Verdict:
    """Add faults that belong to no particular minute."""
    return found._replace(
        differ=found.differ + len(faults), examples=[*faults[:SHOWN], *found.examples]
    )


def landing_verdict(
    rows: DataFrame, landed: DataFrame, since: Mapping[str, datetime], is_wanted: Column
) -> Verdict:
    """Compare the receipts in `rows` with the items in `landed`.

    `rows` has message_counts.COUNTED; `landed` has exchange, minute of received_at, and items. `since` is,
    per exchange, the time after which its messages are complete (default: from the first one on). Only
    minutes that are wanted are compared.
    """
    receipts = rows.where(F.col("kind") == IS_RECEIPT)
    produced = receipts.groupBy(*MINUTE).agg(F.sum("updates").alias("items"))
    by_minute = (
        produced.join(landed.withColumnRenamed("items", "landed"), [*MINUTE], "full")
        .join(_complete_in_messages(receipts, since), "exchange")
        .join(_complete_in_landing(landed), "exchange")
        .where(F.col("minute") > F.greatest("since", "landed_since"))
        .where(F.col("minute") < F.least("until", "landed_until"))
        .where(is_wanted)
        .select(*MINUTE, *(F.coalesce(name, F.lit(0)).alias(name) for name in ("items", "landed")))
    )
    text = sentence("received: {} items in messages, {} in landing/", "items", "landed")
    found = minutes_verdict("landing/", by_minute, F.col("items") != F.col("landed"), text)
    absent = _absent_from_landing(receipts.where(is_wanted), landed)
    return with_faults(found, [f"landing/ has nothing of {exchange}" for exchange in absent])


def _absent_from_landing(receipts: DataFrame, landed: DataFrame) -> list[str]:
    """Return the exchanges without an object, although others have earlier and later minutes there."""
    limits = landed.agg(
        F.min("minute").alias("landed_since"), F.max("minute").alias("landed_until")
    )
    is_earlier = F.col("minute") < F.col("landed_until") - F.expr(LANDING_DELAY)
    between = receipts.crossJoin(limits).where(
        (F.col("minute") > F.col("landed_since")) & is_earlier
    )
    return _sorted_names(between.join(landed, "exchange", "left_anti"), "exchange")


def _complete_in_messages(receipts: DataFrame, since: Mapping[str, datetime]) -> DataFrame:
    """Return, per exchange, the bounds, both excluded, of the minutes that are complete in messages.

    Every partition is in the order of receipt, so the last minute that all of them have reached is the
    end.
    """
    last = receipts.groupBy("exchange", "topic", "partition").agg(F.max("minute").alias("last"))
    until = last.groupBy("exchange").agg(F.min("last").alias("until"))
    first = receipts.groupBy("exchange").agg(F.min("minute").alias("first"))
    begins = (
        F.when(F.col("exchange") == exchange, F.lit(begin)) for exchange, begin in since.items()
    )
    before_all = F.col("first") - F.expr("INTERVAL 1 MINUTE")
    return first.withColumn("since", F.coalesce(*begins, before_all)).join(until, "exchange")


def _complete_in_landing(landed: DataFrame) -> DataFrame:
    """Return the same bounds for landing/, whose first and last minute may be incomplete."""
    return landed.groupBy("exchange").agg(
        F.min("minute").alias("landed_since"), F.max("minute").alias("landed_until")
    )


def minutes_verdict(name: str, by_minute: DataFrame, differs: Column, text: Column) -> Verdict:
    """Return the verdict on `by_minute`, which has one row per exchange and minute."""
    minutes = by_minute.select(*MINUTE, F.when(differs, text).alias("difference")).persist()
    try:
        different = minutes.where("difference IS NOT NULL")
        [(count, differ)] = minutes.agg(F.count("*"), F.count("difference")).collect()
        return Verdict(
            name,
            count,
            differ,
            lines(different, (*MINUTE, "difference"), differ),
            0,
            [],
            "minutes",
        )
    finally:
        minutes.unpersist()


def sentence(pattern: str, *columns: str) -> Column:
    """Return the pattern with each {} replaced by a column's value."""
    return F.format_string(pattern.replace("{}", "%d"), *columns)
