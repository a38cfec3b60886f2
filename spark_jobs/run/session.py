"""The Spark session of a job. All settings are in spark-defaults.conf or on spark-submit's line."""

import re

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_jobs.errors import JobError

KAFKA_CLASS = "org.apache.spark.sql.kafka010.KafkaSourceProvider"
S3A_CLASS = "org.apache.hadoop.fs.s3a.S3AFileSystem"
S3A_ENDPOINT = "fs.s3a.endpoint"


class JarError(JobError):
    """A jar that the jobs need is missing, or is not the one that fits. The message says which."""


def spark_session(name: str) -> SparkSession:
    """No master and no setting here: what code sets wins over the command line.

    Raises JarError. Spark itself would fail with a class or a method that is not found, perhaps much later.
    """
    spark = SparkSession.builder.appName(name).getOrCreate()
    # PySpark has no public name for the JVM.
    hadoop = spark._jvm.org.apache.hadoop.util.VersionInfo.getVersion()  # type: ignore[union-attr]  # noqa: SLF001
    check_jar("the Kafka connector", jar_of(spark, KAFKA_CLASS), spark.version)
    check_jar("s3a", jar_of(spark, S3A_CLASS), hadoop)
    resolve_endpoint(spark)
    return spark


def resolve_endpoint(spark: SparkSession) -> None:
    """Puts the value for ${env.S3_ENDPOINT_URL}: Hadoop looks it up where it is read, on an executor too.

    The keys need no such care: Spark itself takes them from the driver's environment into this configuration.
    """
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001
    if endpoint := hadoop.get(S3A_ENDPOINT):
        hadoop.set(S3A_ENDPOINT, endpoint)


def check_jar(what: str, jar: str | None, version: str) -> None:
    """Raises JarError unless `jar`, a file's name such as hadoop-aws-3.5.0.jar, is of this version."""
    if jar is None:
        raise JarError(
            f"{what} is not on Spark's class path. SPARK_CONF_DIR must name the folder of the settings that "
            'make setup has written: eval "$(make -s env)"'
        )
    found = re.search(r"-(\d+(?:\.\d+)+)\.jar$", jar)
    if found is None or found[1] != version:
        raise JarError(f"{what} is {jar}, but {version} belongs to this Spark: run make setup")


def jar_of(spark: SparkSession, name: str) -> str | None:
    """The file that Spark would load the class of this name from; None when there is none."""
    jvm = spark._jvm  # noqa: SLF001
    try:
        loaded = jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)  # type: ignore[union-attr]
    except Py4JJavaError:
        return None
    path: str = loaded.getProtectionDomain().getCodeSource().getLocation().getPath()
    return path.rpartition("/")[2]
