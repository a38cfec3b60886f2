"""Define what each user may do in Kafka and in the object store: no more than its programs need.

docs/managed-kafka.md lists the same rights by program. Those in Postgres are in infra/services/postgres.py.
"""

from typing import Any, NamedTuple

from confluent_kafka.admin import ResourceType  # type: ignore[attr-defined]

from core.topics import EXCHANGE_CANDLES, EXCHANGE_OF_TOPIC, FEED_EVENTS, INSTRUMENTS

RAW_TOPICS = tuple(EXCHANGE_OF_TOPIC)
OTHER_TOPICS = (INSTRUMENTS, FEED_EVENTS, EXCHANGE_CANDLES)

QUERIES = ("live_prices", "small_topics", "exchange_candles", "raw_archive", "price_history")
"""Consumer groups of the jobs."""


class Right(NamedTuple):
    """One operation on one resource of Kafka. Read and Write include Describe."""

    operation: str
    name: str
    kind: ResourceType = ResourceType.TOPIC


KAFKA_RIGHTS = {
    "extractors": (
        *(Right("Write", topic) for topic in (*RAW_TOPICS, *OTHER_TOPICS)),
        # A new process continues after the last message of the previous one.
        *(Right("Read", topic) for topic in (*RAW_TOPICS, INSTRUMENTS)),
        # librdkafka looks up the group of a consumer, though nothing joins it.
        Right("Describe", "extractors", ResourceType.GROUP),
    ),
    "jobs": (
        *(Right("Read", topic) for topic in (*RAW_TOPICS, *OTHER_TOPICS)),
        # To check message.timestamp.type.
        *(Right("Describe_Configs", topic) for topic in RAW_TOPICS),
        # To read single messages, such as those of dead letters: librdkafka looks up this group too.
        Right("Describe", "spark_jobs", ResourceType.GROUP),
        # To publish their progress.
        *(Right("Read", query, ResourceType.GROUP) for query in QUERIES),
    ),
}

READ_PREFIXES = {"extractors": (), "jobs": ("landing", "raw", "staging", "tickers")}
WRITE_PREFIXES = {"extractors": ("landing",), "jobs": ("raw", "staging", "tickers")}


def s3_policy(user: str, bucket: str) -> dict[str, Any]:
    """Return the IAM policy of a user: only objects below its prefixes of the bucket."""
    can_list = [f"{each}{end}" for each in READ_PREFIXES[user] for end in ("", "/*")]
    deleting = ["s3:DeleteObject"] if can_list else []
    statements = [
        _allow(["s3:PutObject", "s3:AbortMultipartUpload", *deleting], bucket, WRITE_PREFIXES[user])
    ]
    if can_list:
        statements.append(_allow(["s3:GetObject"], bucket, READ_PREFIXES[user]))
        statements.append(
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
                "Condition": {"StringLike": {"s3:prefix": can_list}},
            }
        )
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(actions: list[str], bucket: str, prefixes: tuple[str, ...]) -> dict[str, Any]:
    # s3a also asks for the key of a folder without its slash.
    names = [f"arn:aws:s3:::{bucket}/{each}{end}" for each in prefixes for end in ("", "/*")]
    return {"Effect": "Allow", "Action": actions, "Resource": names}
