"""The usual ways from Spark to Postgres: the last ticker of each symbol, no candles, no dead letters.

spark-submit spark_sink.py jdbc             append to a staging table by JDBC, merge it by SQL
spark-submit spark_sink.py execute_values   collect on the driver, upsert by psycopg2's execute_values
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extras import execute_values
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

# The columns of the ticker, and where each exchange keeps them.
BINANCE_FIELDS = {
    "price": "c",
    "open_24h": "o",
    "high_24h": "h",
    "low_24h": "l",
    "base_volume_24h": "v",
    "quote_volume_24h": "q",
}
KUCOIN_FIELDS = {
    "price": "price",
    "bid": "bestBid",
    "bid_size": "bestBidSize",
    "ask": "bestAsk",
    "ask_size": "bestAskSize",
    "last_size": "size",
}
AMOUNTS = tuple(BINANCE_FIELDS | KUCOIN_FIELDS)
COLUMNS = ("exchange", "symbol", *AMOUNTS, "sequence", "received_at")

BINANCE = (
    "array<struct<s string, E bigint, received_at bigint, "
    + ", ".join(f"{field} string" for field in BINANCE_FIELDS.values())
    + ">>"
)
KUCOIN = (
    "array<struct<subject string, received_at bigint, data struct<sequence string, "
    + ", ".join(f"{field} string" for field in KUCOIN_FIELDS.values())
    + ">>>"
)
MESSAGES = 1000

CREATE = f"""
CREATE TABLE latest (
    exchange text, symbol text, {", ".join(f"{name} numeric(38, 18)" for name in AMOUNTS)},
    sequence bigint, received_at bigint, PRIMARY KEY (exchange, symbol)
);
CREATE UNLOGGED TABLE staging (LIKE latest)
"""
ON_CONFLICT = f"""
ON CONFLICT (exchange, symbol) DO UPDATE
SET {", ".join(f"{name} = EXCLUDED.{name}" for name in COLUMNS[2:])}
WHERE EXCLUDED.received_at > latest.received_at
"""


def tickers(records: DataFrame) -> DataFrame:
    text = F.col("value").cast("string")
    binance = F.transform(
        F.from_json(text, BINANCE),
        lambda item: ticker("binance", item["s"], item["E"], item, BINANCE_FIELDS),
    )
    kucoin = F.transform(
        F.from_json(text, KUCOIN),
        lambda item: ticker(
            "kucoin", item["subject"], item["data"]["sequence"], item, KUCOIN_FIELDS, "data"
        ),
    )
    items = F.when(F.col("topic") == "binance_raw_data", binance).otherwise(kucoin)
    return records.select(F.explode(items).alias("ticker")).select("ticker.*")


def ticker(
    exchange: str,
    symbol: Column,
    sequence: Column,
    item: Column,
    fields: Mapping[str, str],
    inside: str = "",
) -> Column:
    """A struct of COLUMNS; NULL in the amounts that the exchange does not give."""
    amounts = item[inside] if inside else item
    return F.struct(
        F.lit(exchange).alias("exchange"),
        symbol.alias("symbol"),
        *(
            (amounts[fields[name]] if name in fields else F.lit(None))
            .cast("decimal(38,18)")
            .alias(name)
            for name in AMOUNTS
        ),
        sequence.cast("bigint").alias("sequence"),
        item["received_at"].alias("received_at"),
    )


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
                    page_size=1000,
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
