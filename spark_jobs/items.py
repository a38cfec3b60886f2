"""Kafka records to items: one row per element of each message's JSON array."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.message import ENDPOINT_HEADER
from spark_jobs.schemas import ITEM

JSON_BLANKS = " \t\r\n"
WHOLE_MESSAGE = -1

OF_THE_MESSAGE = ("endpoint", "timestamp", "topic", "partition", "offset")

# A host, perhaps with a port. Headers are bytes that anybody may have written.
HOST = r"^[A-Za-z0-9.:_\[\]-]{1,255}$"


def explode_items(records: DataFrame) -> DataFrame:
    """Columns endpoint, timestamp, topic, partition, offset, position, item (of text, see schemas.ITEM).

    A message that is no JSON array gives one row with position -1 and a NULL item; an element that is
    no object gives a NULL item at its position; its neighbours are read. An empty array gives no row.
    """
    # Before the explosion: Spark would look for it in the headers of every item's row.
    messages = records.withColumn("endpoint", endpoint())
    text = F.col("value").cast("string")
    # One expression, used once: where a column is used twice, Spark may parse twice.
    items = F.coalesce(F.when(is_array(text), items_of(text)), F.array(whole_message()))
    exploded = messages.select(*OF_THE_MESSAGE, F.posexplode(items).alias("index", "item"))
    position = F.when(F.col("item.whole_message").isNotNull(), WHOLE_MESSAGE)
    return exploded.select(
        *OF_THE_MESSAGE,
        F.coalesce(position, "index").alias("position"),
        F.when(position.isNull(), F.col("item")).alias("item"),
    )


def is_array(text: Column) -> Column:
    """from_json would take an object for an array of one, and pass over what follows an array."""

    def is_bracketed(array: Column) -> Column:
        return array.startswith("[") & array.endswith("]")

    # Blanks around it are rare, and trimming costs as much as parsing. Spark would work out either side
    # of an OR in advance; of CASE WHEN, only the first condition.
    trimmed = F.btrim(text, F.lit(JSON_BLANKS))
    return F.when(is_bracketed(text), True).otherwise(is_bracketed(trimmed))


def items_of(array_text: Column) -> Column:
    """NULL for what is no JSON.

    from_json gives NULL for a whole array when one element is not of its type: such a message, and only
    such a one, is read again, element by element.
    """

    def item(element: Column) -> Column:
        is_object = F.btrim(element, F.lit(JSON_BLANKS)).startswith("{")
        return F.when(is_object, F.from_json(element, ITEM))

    return F.coalesce(
        F.from_json(array_text, f"ARRAY<STRUCT<{ITEM}>>"),
        F.transform(F.from_json(array_text, "ARRAY<STRING>"), item),
    )


def whole_message() -> Column:
    """Stands in the place of the items of a message that has none."""
    return F.from_json(F.lit('{"whole_message": "yes"}'), ITEM)


def endpoint() -> Column:
    """The host that the message's frames came from; NULL where no header says."""
    named = F.filter("headers", lambda header: header["key"] == ENDPOINT_HEADER)
    host = F.get(named, 0)["value"].cast("string")
    return F.when(host.rlike(HOST), host)
