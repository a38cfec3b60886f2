"""The Spark session: jars with the wrong version are reported before Spark fails."""

import pytest
from pyspark.sql import SparkSession

from spark_jobs.run.session import (
    KAFKA_CLASS,
    S3A_ENDPOINT,
    JarError,
    check_jar,
    jar_of,
    resolve_endpoint,
    spark_session,
)
from tests.conftest import STACK


@pytest.mark.parametrize(
    ("jar", "version"),
    [
        ("spark-sql-kafka-0-10_2.13-4.2.0.jar", "4.2.0"),
        # A vendor's build, with the vendor's Hadoop.
        ("hadoop-aws-3.4.1-amzn-2.jar", "3.4.1-amzn-2"),
    ],
)
def test_jar_of_the_version_that_belongs_to_this_spark_is_taken(jar: str, version: str) -> None:
    check_jar("a library", jar, version)


@pytest.mark.parametrize(
    "jar", ["spark-sql-kafka-0-10_2.13-4.1.2.jar", "connector.jar", "hadoop-aws-14.2.0.jar"]
)
def test_another_jar_is_named_with_the_version_that_was_expected(jar: str) -> None:
    with pytest.raises(
        JarError, match=rf"the Kafka connector is {jar}, but this Spark needs 4\.2\.0"
    ):
        check_jar("the Kafka connector", jar, "4.2.0")


def test_missing_jar_is_explained_with_what_to_do() -> None:
    with pytest.raises(JarError, match=r"s3a is not on Spark's class path.*make -s env"):
        check_jar("s3a", None, "3.5.0")


def test_jar_of_a_class_is_the_file_that_it_would_be_loaded_from(spark: SparkSession) -> None:
    assert jar_of(spark, KAFKA_CLASS) == f"spark-sql-kafka-0-10_2.13-{spark.version}.jar"
    assert jar_of(spark, "no.such.Class") is None


def test_configuration_of_executors_has_values_and_no_variables_of_the_driver(
    spark: SparkSession,
) -> None:
    session = spark_session("any").newSession()
    shipped = session._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
    assert shipped.getRaw(S3A_ENDPOINT) == STACK.settings.s3_endpoint_url
    assert shipped.getRaw("fs.s3a.access.key") == STACK.settings.aws_access_key_id
    assert shipped.getRaw("fs.s3a.secret.key") == STACK.settings.aws_secret_access_key


def test_endpoint_that_is_not_set_is_left_to_s3a(spark: SparkSession) -> None:
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001
    before = hadoop.getRaw(S3A_ENDPOINT)
    hadoop.unset(S3A_ENDPOINT)
    try:
        resolve_endpoint(spark)
        assert hadoop.getRaw(S3A_ENDPOINT) is None
    finally:
        hadoop.set(S3A_ENDPOINT, before)
