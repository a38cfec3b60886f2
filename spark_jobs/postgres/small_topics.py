"""Parse records of the topics `instruments` and `feed_events` into rows of their tables."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.kafka_source.schemas import SMALL_TOPICS
from spark_jobs.postgres.read_text import (
    count_of,
    missing,
    moment,
    name_of,
    text_of,
    unusable,
)

JSON_BLANKS = " \t\r\n"
OPTIONAL = ("endpoint", "reason", "to")


def parse_small_topics(records: DataFrame) -> DataFrame:
    """Return topic, partition, first_offset, last_offset, instruments, feed_events, fault, payload.

    `instruments` and `feed_events` are structs of the table's columns and the offset; NULL if the
    message is not a row of that table. For a dead letter both are NULL, `fault` is the reason, and
    `payload` has the message's bytes.
    """
    values = {
        "exchange": name_of("exchange"),
        "symbol": name_of("symbol"),
        "base": name_of("base"),
        "quote": name_of("quote"),
        "status": name_of("status"),
        "seen_at": moment("seen_at"),
        "endpoint": text_of("endpoint"),
        "kind": name_of("kind"),
        "reason": text_of("reason"),
        "from": moment("from"),
        "to": moment("to"),
        "frames": count_of("frames"),
    }
    fields = records.select("*", fields_of(F.col("value").cast("string")).alias("fields"))
    written = fields.select("*", *(F.col("fields")[n].alias(f"written_{n}") for n in values))
    read = written.select("*", *(value.alias(name) for name, value in values.items()))
    judged = read.select("*", fault().alias("fault"))
    is_dead = F.col("fault").isNotNull()
    return judged.select(
        "topic",
        "partition",
        *(F.col("offset").alias(name) for name in ("first_offset", "last_offset")),
        *(row_of(topic).alias(topic) for topic in SMALL_TOPICS),
        "fault",
        # A record without a value has no bytes.
        F.when(is_dead, F.coalesce("value", F.lit(b""))).alias("payload"),
    )


def fields_of(text: Column) -> Column:
    """Return the fields of a JSON object as text; NULL for any other text.

    from_json ignores text after the object, so a text that does not end with a brace is refused. Of several
    objects only the first is read.
    """
    is_closed = F.btrim(text, F.lit(JSON_BLANKS)).endswith("}")
    return F.when(is_closed, F.from_json(text, "MAP<STRING, STRING>"))


def fault() -> Column:
    """Return the first fault of a message, with the field's name and value; NULL if it has none."""
    return F.coalesce(
        F.when(F.col("fields").isNull(), "the message is no JSON object"),
        *(F.when(F.col("topic") == topic, fault_of(topic)) for topic in SMALL_TOPICS),
    )


def fault_of(topic: str) -> Column:
    columns = SMALL_TOPICS[topic]
    return F.coalesce(
        *(missing(name) for name in columns if name not in OPTIONAL),
        *(unusable(name) for name in columns),
    )


def row_of(topic: str) -> Column:
    is_row = (F.col("topic") == topic) & F.col("fault").isNull()
    return F.when(is_row, F.struct(*SMALL_TOPICS[topic], "offset"))
