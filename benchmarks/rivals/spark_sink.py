"""Write the last price per symbol from Spark to Postgres in two common ways; no candles or dead letters.

spark-submit spark_sink.py jdbc             append to a staging table by JDBC, merge it by SQL
spark-submit spark_sink.py execute_values   collect on the driver, upsert by psycopg2's execute_values
"""

import os
import sys
import time
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extras import execute_values
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

BINANCE = "array<struct<s string, c string, E bigint, received_at bigint>>"
KUCOIN = (
    "array<struct<subject string, data struct<price string, sequence string>, received_at bigint>>"
)
COLUMNS = ("exchange", "symbol", "price", "sequence", "received_at")
MESSAGES = 400

CREATE = """
CREATE TABLE latest (
    exchange text, symbol text, price numeric(38, 18), sequence bigint, received_at bigint,
    PRIMARY KEY (exchange, symbol)
);
CREATE UNLOGGED TABLE staging (LIKE latest)
"""
ON_CONFLICT = """
ON CONFLICT (exchange, symbol) DO UPDATE
SET (price, sequence, received_at) = (EXCLUDED.price, EXCLUDED.sequence, EXCLUDED.received_at)
WHERE EXCLUDED.received_at > latest.received_at
"""


def parsed(items: Column, exchange: str, symbol: str, price: str, sequence: str) -> Column:
    return F.transform(
        items,
        lambda item: F.struct(
            F.lit(exchange).alias("exchange"),
            item[symbol].alias("symbol"),
            _field(item, price).cast("decimal(38,18)").alias("price"),
            _field(item, sequence).cast("bigint").alias("sequence"),
            item["received_at"].alias("received_at"),
        ),
    )


def _field(item: Column, path: str) -> Column:
    for name in path.split("."):
        item = item[name]
    return item


def tickers(records: DataFrame) -> DataFrame:
    text = F.col("value").cast("string")
    items = F.when(
        F.col("topic") == "binance_raw_data",
        parsed(F.from_json(text, BINANCE), "binance", "s", "c", "E"),
    ).otherwise(
        parsed(F.from_json(text, KUCOIN), "kucoin", "subject", "data.price", "data.sequence")
    )
    return records.select(F.explode(items).alias("ticker")).select("ticker.*")


def newest(batch: DataFrame) -> DataFrame:
    order = Window.partitionBy("exchange", "symbol").orderBy(F.col("received_at").desc())
    return batch.withColumn("rank", F.row_number().over(order)).where("rank = 1").drop("rank")


class Sink:
    def __init__(self, way: str) -> None:
        self._way = way
        self._url = os.environ["DATABASE_URL"]
        self._ticks = 0
        with closing(psycopg2.connect(self._url)) as database:
            with database, database.cursor() as statements:
                statements.execute(CREATE)

    def write(self, batch: DataFrame, batch_id: int) -> None:
        batch = batch.persist()
        ticks = batch.count()
        if self._way == "jdbc":
            self._jdbc(batch)
        else:
            self._execute_values(batch)
        batch.unpersist()
        self._ticks += ticks
        print(self._ticks, time.time(), flush=True)

    def _jdbc(self, batch: DataFrame) -> None:
        parts = urlsplit(self._url)
        batch.write.mode("append").jdbc(
            f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?reWriteBatchedInserts=true",
            "staging",
            properties={
                "user": parts.username or "",
                "password": parts.password or "",
                "driver": "org.postgresql.Driver",
                "batchsize": "10000",
            },
        )
        with closing(psycopg2.connect(self._url)) as database:
            with database, database.cursor() as statements:
                statements.execute(
                    "INSERT INTO latest SELECT DISTINCT ON (exchange, symbol) * FROM staging"
                    f" ORDER BY exchange, symbol, received_at DESC {ON_CONFLICT}"
                )
                statements.execute("TRUNCATE staging")

    def _execute_values(self, batch: DataFrame) -> None:
        rows = [tuple(row) for row in newest(batch).select(*COLUMNS).collect()]
        with closing(psycopg2.connect(self._url)) as database:
            with database, database.cursor() as statements:
                execute_values(
                    statements,
                    f"INSERT INTO latest ({', '.join(COLUMNS)}) VALUES %s {ON_CONFLICT}",
                    rows,
                )


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
    sink = Sink(sys.argv[1])
    checkpoint = os.path.join(os.environ["CHECKPOINT_DIR"], sys.argv[1])
    query = tickers(records).writeStream.foreachBatch(sink.write)
    query.option("checkpointLocation", checkpoint).start().awaitTermination()


if __name__ == "__main__":
    main()
