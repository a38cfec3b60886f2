"""A query over what is there now."""

from pyspark.sql.streaming.readwriter import DataStreamWriter


def run_once(query: DataStreamWriter) -> None:
    """All that is in Kafka now."""
    started = query.trigger(availableNow=True).start()
    assert started.awaitTermination(120)
