"""Report each batch of Spark's queries, from the JSON of its progress event.

PySpark's two public ways cost more CPU. Its StreamingQueryListener walks through Java maps: each ends
with an exception, and PySpark looks for the exception's class in every jar, a sixth of a core at five
batches a second. `query.recentProgress` converts the last 100 events of a query at each poll: 15 ms,
which is 7 % of a core for five queries that are polled once a second, and reports come up to a second
late. One event's JSON costs 0.4 ms.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from py4j.java_gateway import JavaObject
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession


def listen(spark: SparkSession, report: Callable[[Mapping[str, Any]], None]) -> None:
    """Call `report` with the JSON of each StreamingQueryProgress, from one of Spark's threads."""
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
