"""A tuned version of `spark_sink.py execute_values`, with the same columns: price, sequence and time.

    spark-submit spark_tuned.py

No batch is persisted or counted separately: the same aggregation yields the newest ticker and the number
of ticks per symbol. One schema reads both exchanges, so each message is parsed once. max_by over numbers
finds the newest in a hash table; a window would sort all rows. A batch has as many messages as the live
job's, and the connection stays open.
"""

import os
import time

import psycopg2
from psycopg2.extras import execute_values
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

ITEM = "s string, c string, E bigint, subject string, data struct<price string, sequence string>"
MESSAGE = f"array<struct<{ITEM}, received_at bigint>>"
COLUMNS = ("exchange", "symbol", "price", "sequence", "received_at")
MESSAGES = 2000

CREATE = """
CREATE TABLE latest (
    exchange text, symbol text, price numeric(38, 18), sequence bigint, received_at bigint,
    PRIMARY KEY (exchange, symbol)
)
"""
UPSERT = f"""
INSERT INTO latest ({", ".join(COLUMNS)}) VALUES %s
ON CONFLICT (exchange, symbol) DO UPDATE
SET (price, sequence, received_at) = (EXCLUDED.price, EXCLUDED.sequence, EXCLUDED.received_at)
WHERE EXCLUDED.received_at > latest.received_at
"""


def tickers(records: DataFrame) -> DataFrame:
    item = F.explode(F.from_json(F.col("value").cast("string"), MESSAGE)).alias("item")
    return records.select("topic", item).select(
        F.when(F.col("topic") == "binance_raw_data", "binance")
        .otherwise("kucoin")
        .alias("exchange"),
        F.coalesce("item.s", "item.subject").alias("symbol"),
        F.coalesce("item.c", "item.data.price").cast("decimal(38,18)").alias("price"),
        F.coalesce("item.E", F.col("item.data.sequence").cast("bigint")).alias("sequence"),
        F.col("item.received_at").alias("received_at"),
    )


def newest(tickers: DataFrame) -> DataFrame:
    return tickers.groupBy("exchange", "symbol").agg(
        F.max_by("price", "received_at").alias("price"),
        F.max_by("sequence", "received_at").alias("sequence"),
        F.max("received_at").alias("received_at"),
        F.count(F.lit(1)).alias("ticks"),
    )


class Sink:
    def __init__(self) -> None:
        self._database = psycopg2.connect(os.environ["DATABASE_URL"])
        self._ticks = 0
        with self._database, self._database.cursor() as statements:
            statements.execute(CREATE)

    def write(self, batch: DataFrame, batch_id: int) -> None:
        rows = batch.transform(newest).collect()
        with self._database, self._database.cursor() as statements:
            execute_values(statements, UPSERT, [tuple(row)[:-1] for row in rows], page_size=1000)
        self._ticks += sum(row["ticks"] for row in rows)
        print(self._ticks, time.time(), flush=True)


def main() -> None:
    spark = SparkSession.builder.appName("rival").getOrCreate()
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", os.environ["KAFKA_BOOTSTRAP_SERVERS"])
        .option("subscribe", "binance_raw_data,kucoin_raw_data")
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", MESSAGES)
        .load()
    )
    checkpoint = os.path.join(os.environ["CHECKPOINT_DIR"], "tuned")
    query = tickers(records).writeStream.foreachBatch(Sink().write)
    query.option("checkpointLocation", checkpoint).start().awaitTermination()


if __name__ == "__main__":
    main()
