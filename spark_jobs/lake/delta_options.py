"""Convert Spark's settings of the object store to those of delta-rs."""

import os

from pyspark.sql import SparkSession

CA_BUNDLE = "S3_CA_BUNDLE"

# Names in delta-rs's object_store, and in Hadoop. Keys are absent if the machine's role is used.
_NAMES = {
    "AWS_ENDPOINT_URL": "fs.s3a.endpoint",
    "AWS_REGION": "fs.s3a.endpoint.region",
    "AWS_ACCESS_KEY_ID": "fs.s3a.access.key",
    "AWS_SECRET_ACCESS_KEY": "fs.s3a.secret.key",
    "AWS_SESSION_TOKEN": "fs.s3a.session.token",
}


def delta_options(spark: SparkSession, path: str) -> dict[str, str]:
    """Return the storage options of a table, from Spark's settings of s3a; empty for other schemes."""
    if not path.startswith("s3a:"):
        return {}
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()  # noqa: SLF001
    found = {name: hadoop.get(key) for name, key in _NAMES.items()}
    # Java has the certificate in its truststore, delta-rs in SSL_CERT_FILE; only Arrow reads this option.
    found[CA_BUNDLE] = os.environ.get(CA_BUNDLE)
    options = {name: value for name, value in found.items() if value}
    if options.get("AWS_ENDPOINT_URL", "").startswith("http:"):
        options["AWS_ALLOW_HTTP"] = "true"
    return options
