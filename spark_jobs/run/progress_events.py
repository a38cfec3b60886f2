"""What Spark says of each batch of its queries.

PySpark's StreamingQueryListener walks through maps of Java's. Each ends with an exception, and to name that
PySpark looks for classes in every jar: a sixth of a core at five batches a second. So this listens to the
same events, and reads them as JSON.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession


def listen(spark: SparkSession, report: Callable[[Mapping[str, Any]], None]) -> None:
    """Calls `report` with each StreamingQueryProgress, in the form of its JSON, from a thread of Spark's."""
    # PySpark has no public name for any of these.
    context = spark.sparkContext
    ensure_callback_server_started(context._gateway)  # type: ignore[no-untyped-call]  # noqa: SLF001
    streaming = context._jvm.org.apache.spark.sql.streaming  # type: ignore[union-attr]  # noqa: SLF001
    listener = streaming.PythonStreamingQueryListenerWrapper(_Listener(report))
    spark.streams._jsqm.addListener(listener)  # noqa: SLF001


class _Listener:
    def __init__(self, report: Callable[[Mapping[str, Any]], None]) -> None:
        self._report = report

    def onQueryProgress(self, event: JavaObject) -> None:
        self._report(json.loads(event.progress().json()))

    def onQueryStarted(self, _event: JavaObject) -> None: ...

    def onQueryIdle(self, _event: JavaObject) -> None: ...

    def onQueryTerminated(self, _event: JavaObject) -> None: ...

    class Java:
        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)
