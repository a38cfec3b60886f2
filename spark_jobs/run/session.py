"""Create the Spark session of a job. Its settings are in spark-defaults.conf or on the command line."""

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from spark_jobs.errors import JobError

KAFKA_CLASS = "org.apache.spark.sql.kafka010.KafkaSourceProvider"
S3A_CLASS = "org.apache.hadoop.fs.s3a.S3AFileSystem"
S3A_ENDPOINT = "fs.s3a.endpoint"


class JarError(JobError):
    """A required jar is missing or has the wrong version. The message says which."""


def spark_session(name: str) -> SparkSession:
    """Return the session. Set no master and no options: code would override the command line.

    Raise JarError if a jar does not fit. Without this check, Spark would fail for lack of a class or a
    method, perhaps much later.
    """
    spark = SparkSession.builder.appName(name).getOrCreate()
    # PySpark has no public attribute for the JVM.
    hadoop = spark._jvm.org.apache.hadoop.util.VersionInfo.getVersion()  # type: ignore[union-attr]  # noqa: SLF001
    check_jar("the Kafka connector", jar_of(spark, KAFKA_CLASS), spark.version)
    check_jar("s3a", jar_of(spark, S3A_CLASS), hadoop)
    resolve_endpoint(spark)
    return spark


def ignore_interrupts(spark: SparkSession) -> None:
    """Let the JVM ignore SIGINT: Ctrl-C in a terminal reaches it, and would stop Spark too early."""
    misc = spark._jvm.sun.misc  # type: ignore[union-attr]  # noqa: SLF001
    misc.Signal.handle(misc.Signal("INT"), misc.SignalHandler.SIG_IGN)


def resolve_endpoint(spark: SparkSession) -> None:
    """Replace ${env.S3_ENDPOINT_URL} by its value: executors would resolve it in their own environments.

    The access keys do not need this: Spark itself copies them from the driver's environment to this
    configuration.
    """
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001
    if endpoint := hadoop.get(S3A_ENDPOINT):
        hadoop.set(S3A_ENDPOINT, endpoint)


def check_jar(what: str, jar: str | None, version: str) -> None:
    """Raise JarError unless `jar`, a file name such as hadoop-aws-3.5.0.jar, has this version."""
    if jar is None:
        raise JarError(
            f"{what} is not on Spark's class path. SPARK_CONF_DIR must be the folder to which "
            'make setup has written the settings: eval "$(make -s env)"'
        )
    if not jar.endswith(f"-{version}.jar"):
        raise JarError(f"{what} is {jar}, but this Spark needs {version}: run make setup")


def jar_of(spark: SparkSession, name: str) -> str | None:
    """Return the name of the jar that Spark would load a class from; None if there is none."""
    jvm = spark._jvm  # noqa: SLF001
    try:
        loaded = jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(name)  # type: ignore[union-attr]
    except Py4JJavaError:
        return None
    path: str = loaded.getProtectionDomain().getCodeSource().getLocation().getPath()
    return path.rpartition("/")[2]
