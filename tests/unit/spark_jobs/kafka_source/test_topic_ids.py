"""Ids of topics in the form of Kafka's command-line tools."""

from spark_jobs.kafka_source.topic_ids import url_safe_id
from spark_jobs.lake.raw.names import TOPIC_ID


def test_id_is_written_as_kafkas_own_tools_write_it() -> None:
    assert url_safe_id("7eW6UL7nSrGKmQdIfex/IA") == "7eW6UL7nSrGKmQdIfex_IA"
    assert TOPIC_ID.fullmatch(url_safe_id("+/W6UL7nSrGKmQdIfex/I+"))
