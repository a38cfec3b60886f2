"""The ids of topics as text."""

from spark_jobs.archive_names import TOPIC_ID
from spark_jobs.topic_ids import as_kafka_writes


def test_id_is_written_as_kafkas_own_tools_write_it() -> None:
    assert as_kafka_writes("7eW6UL7nSrGKmQdIfex/IA") == "7eW6UL7nSrGKmQdIfex_IA"
    assert TOPIC_ID.fullmatch(as_kafka_writes("+/W6UL7nSrGKmQdIfex/I+"))
