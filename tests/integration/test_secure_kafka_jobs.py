"""Run the jobs against a Kafka with TLS, logins and access rights."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg2.extensions import connection
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from core.settings import Settings
from exchanges.binance import BINANCE
from exchanges.kucoin import KUCOIN
from infra.doctor.first_records import first_records
from infra.secured.rights import KAFKA_RIGHTS
from spark_jobs.history.kept_messages import KeptMessages, MissingError
from spark_jobs.kafka_source.partitions import RightError, raise_if_unauthorized
from spark_jobs.kafka_source.records import kafka_records
from tests.support.frames import BTCUSDT, item
from tests.support.kafka import produce
from tests.support.postgres import rows
from tests.support.queries import run_live_prices, run_once
from tests.support.secure_kafka import PASSWORD, USER, SecureKafka, secure_kafka

RIGHTS = (("Read", BINANCE.raw_topic), ("Read", KUCOIN.raw_topic))


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as broker:
        produce(broker.owner, BINANCE.raw_topic, [item(BTCUSDT)])
        yield broker


def over(kafka: Settings, database: Settings) -> Settings:
    return replace(
        database,
        kafka_bootstrap_servers=kafka.kafka_bootstrap_servers,
        kafka_client_properties=kafka.kafka_client_properties,
    )


def test_live_job_reads_after_a_login_over_tls(
    spark: SparkSession,
    broker: SecureKafka,
    database: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    with broker.granted(*RIGHTS):
        run_live_prices(spark, over(broker.settings, database), tmp_path)
    assert rows(owner, "SELECT symbol, price::float FROM live_prices") == [("BTCUSDT", 85439.99)]


def test_live_job_reads_with_a_client_certificate(
    spark: SparkSession,
    broker: SecureKafka,
    database: Settings,
    owner: connection,
    tmp_path: Path,
) -> None:
    settings = broker.certified("job", "PKCS12")
    for right, topic in RIGHTS:
        broker.grant(right, topic, principal="CN=job")
    run_live_prices(spark, over(settings, database), tmp_path)
    assert rows(owner, "SELECT symbol FROM live_prices") == [("BTCUSDT",)]


def test_single_messages_are_read_with_the_rights_of_the_jobs(broker: SecureKafka) -> None:
    with broker.granted(*KAFKA_RIGHTS["jobs"]), KeptMessages(broker.settings) as messages:
        (frame,) = messages.read(BINANCE.raw_topic, 0, [0])
        (record,) = first_records(broker.settings, {(BINANCE.raw_topic, 0): 0})
    assert frame["value"].to_list() == [record.value()]
    assert b'"s": "BTCUSDT"' in frame["value"][0]


def test_right_that_single_messages_need_is_named(broker: SecureKafka) -> None:
    with (
        broker.granted(*RIGHTS),
        KeptMessages(broker.settings) as messages,
        pytest.raises(
            MissingError, match=f"^Kafka: user {USER} needs Describe on group spark_jobs"
        ),
    ):
        # At the end offset there is no message yet that could arrive before the refusal.
        [*messages.read(BINANCE.raw_topic, 0, [messages.held(BINANCE.raw_topic, 0).stop])]


def test_query_that_has_lost_its_right_to_read_names_it(
    spark: SparkSession, broker: SecureKafka, tmp_path: Path
) -> None:
    with broker.granted(("Read", BINANCE.raw_topic)):
        records = kafka_records(spark, broker.settings, [BINANCE.raw_topic], {})

    def write(batch: DataFrame, _batch_id: int) -> None:
        batch.count()

    query = records.writeStream.option("checkpointLocation", str(tmp_path)).foreachBatch(write)
    with pytest.raises(StreamingQueryException) as failed:
        run_once(query)
    with pytest.raises(RightError, match=f"^Kafka: user {USER} needs Read on "):
        raise_if_unauthorized(failed.value, broker.settings)
    assert PASSWORD not in str(failed.value)
