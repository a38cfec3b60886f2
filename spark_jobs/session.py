"""The Spark session of a job. All settings are in spark-defaults.conf or on spark-submit's line."""

from pyspark.sql import SparkSession


def spark_session(name: str) -> SparkSession:
    """No master and no setting here: what code sets wins over the command line."""
    return SparkSession.builder.appName(name).getOrCreate()
