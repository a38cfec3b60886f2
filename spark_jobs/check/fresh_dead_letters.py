"""Compute dead letters from all messages at once, to check dead_letter_spans and dead_letters.

Both tables depend on the division of messages into batches: it decides where a span ends, and which dead
letters become examples. So spans are compared by their sums over a block, and only the stored examples
are compared.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from core.topics import EXCHANGE_OF_TOPIC
from spark_jobs.postgres.dead_letters import DeadLetter
from spark_jobs.tickers.columns import IS_DEAD_LETTER, IS_DEAD_SPAN, MESSAGE
from spark_jobs.tickers.letters.spans import BLOCK
from spark_jobs.tickers.messages import tickers

KEY_OF_BLOCKS = ("topic", "partition", "cause", "block")
KEY_OF_LETTERS = ("topic", "partition", "offset", "position")

TOPICS = ", ".join(f"'{topic}'" for topic in EXCHANGE_OF_TOPIC)

BLOCKS = f"""
SELECT topic, partition, cause, first_offset / {BLOCK} AS block, sum(letters) AS letters,
    sum(last_offset - first_offset + 1) AS messages, min(first_offset) AS "offset",
    max(last_offset) AS last_offset
FROM dead_letter_spans WHERE topic IN ({TOPICS}) GROUP BY 1, 2, 3, 4
"""
LETTERS = f"""
SELECT topic, partition, "offset", position, reason, encode(payload, 'hex') AS payload, received_at, endpoint
FROM dead_letters WHERE topic IN ({TOPICS})
"""


def fresh_blocks(rows: DataFrame) -> DataFrame:
    """Return the columns of BLOCKS from rows with columns.REDUCED.

    `offset` is that of the first dead letter.
    """
    spans = rows.where(F.col("kind") == IS_DEAD_SPAN)
    block = F.expr(f"first_offset DIV {BLOCK}")
    by_block = spans.groupBy(
        "topic", "partition", F.col("reason").alias("cause"), block.alias("block")
    )
    return by_block.agg(
        F.sum("updates").alias("letters"),
        F.sum(F.col("last_offset") - F.col("first_offset") + 1).alias("messages"),
        F.min("first_offset").alias("offset"),
        F.max("last_offset").alias("last_offset"),
    )


def whole_blocks(
    stored: DataFrame, fresh: DataFrame, is_cut: Column
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Return the stored and the fresh blocks that can be compared, and the stored ones that can't.

    `is_cut` is true, by topic, partition and offset, for a row whose sums are incomplete. The same block
    of the other side can't be compared either.
    """
    key = [*KEY_OF_BLOCKS]
    cut = stored.where(is_cut).select(*key).unionByName(fresh.where(is_cut).select(*key)).distinct()
    return (
        stored.join(cut, key, "left_anti"),
        fresh.join(cut, key, "left_anti"),
        stored.join(cut, key, "left_semi"),
    )


def as_copied(rows: DataFrame) -> DataFrame:
    """Convert dead letters with columns.READ to the columns of LETTERS."""
    return rows.withColumn("payload", F.lower(F.hex("payload"))).select(*DeadLetter._fields)


def fresh_letters(messages: DataFrame, stored: DataFrame) -> DataFrame:
    """Return the dead letters of the messages that have the offset and position of a stored one.

    `messages` has columns.MESSAGE. Only messages that are named in `stored` are read.
    """
    message_key = [*KEY_OF_LETTERS[:3]]
    named = messages.join(stored.select(*message_key).distinct(), message_key, "left_semi").select(
        *MESSAGE
    )
    dead = named.transform(tickers).where(F.col("kind") == IS_DEAD_LETTER).transform(as_copied)
    return dead.join(stored.select(*KEY_OF_LETTERS), [*KEY_OF_LETTERS], "left_semi").select(
        *DeadLetter._fields
    )
