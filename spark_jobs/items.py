"""Kafka records to items: one row per element of each message's JSON array."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.message import ENDPOINT_HEADER
from spark_jobs.schemas import ITEM

JSON_BLANKS = " \t\r\n"
WHOLE_MESSAGE = -1

# A host, perhaps with a port. Headers are bytes that anybody may have written.
HOST = r"^[A-Za-z0-9.:_\[\]-]{1,255}$"


def explode_items(records: DataFrame) -> DataFrame:
    """Columns endpoint, topic, partition, offset, position, item (a struct of text, see schemas.ITEM).

    A message that is no JSON array gives one row with position -1 and a NULL item; an element that is
    no object gives a NULL item at its position; its neighbours are read. An empty array gives no row.
    """
    text = F.col("value").cast("string")
    parsed = records.select(
        "headers",
        "topic",
        "partition",
        "offset",
        F.when(is_array(text), F.from_json(text, f"ARRAY<STRUCT<{ITEM}>>")).alias("items"),
        F.when(is_array(text), text).alias("array_text"),
    )
    # from_json gives NULL for a whole array when one element is not of its type: such a message, and
    # only such a one, is read again, element by element.
    readable = parsed.select(
        endpoint().alias("endpoint"),
        "topic",
        "partition",
        "offset",
        F.coalesce("items", items_one_by_one(F.col("array_text"))).alias("items"),
    )
    exploded = readable.select(
        "endpoint",
        "topic",
        "partition",
        "offset",
        F.col("items").isNull().alias("is_whole_message"),
        F.posexplode(F.coalesce("items", F.array(F.lit(None)))).alias("position", "item"),
    )
    position = F.when(F.col("is_whole_message"), WHOLE_MESSAGE).otherwise(F.col("position"))
    return exploded.select(
        "endpoint", "topic", "partition", "offset", position.alias("position"), "item"
    )


def is_array(text: Column) -> Column:
    """from_json would take an object for an array of one."""
    bare = F.btrim(text, F.lit(JSON_BLANKS))
    return bare.startswith("[") & bare.endswith("]")


def items_one_by_one(array_text: Column) -> Column:
    def item(element: Column) -> Column:
        is_object = F.btrim(element, F.lit(JSON_BLANKS)).startswith("{")
        return F.when(is_object, F.from_json(element, ITEM))

    return F.transform(F.from_json(array_text, "ARRAY<STRING>"), item)


def endpoint() -> Column:
    """The host that the message's frames came from; NULL where no header says."""
    named = F.filter("headers", lambda header: header["key"] == ENDPOINT_HEADER)
    host = F.get(named, 0)["value"].cast("string")
    return F.when(host.rlike(HOST), host)
