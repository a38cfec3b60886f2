"""Compare the lake's prefixes with the records that were read."""

from collections.abc import Iterator
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from core.settings import Settings
from spark_jobs.check.landed import landed
from spark_jobs.check.reconcile import landing_verdict, messages_of, raw_verdict, tickers_verdict
from spark_jobs.check.stored_tickers import stored_tickers
from spark_jobs.check.verdicts import Verdict
from spark_jobs.history.history import History, lasting_since
from spark_jobs.history.message_counts import IS_RECEIPT
from spark_jobs.history.reach import Reach, is_wanted
from spark_jobs.kafka_source.time_span import TimeSpan
from spark_jobs.lake.raw.objects import DAY


def lake_verdicts(
    spark: SparkSession,
    settings: Settings,
    history: History,
    reach: Reach,
    rows: DataFrame,
    now: datetime,
    span: TimeSpan | None,
) -> Iterator[Verdict]:
    """Yield a verdict for each prefix that is not empty. `rows` has message_counts.COUNTED.

    Without a receipt in `rows`, only `raw/` is compared.
    """
    messages = messages_of(rows).where(is_wanted(span))
    if history.raw.objects:
        archived = history.raw.with_duplicates(reach.begins, reach.ends)
        # The bucket's rule may delete older objects: neither they nor holes of their time count.
        lasting = lasting_since(settings, now)
        holes = [hole for hole in history.gaps(reach.wanted, reach.ends) if hole.hour >= lasting]
        nothing = history.records({}, {})
        yield raw_verdict(
            messages.where(F.col("stamped_at") >= lasting),
            nothing if archived is None else archived,
            history.raw.until(),
            holes,
        )
    receipts = rows.where(F.col("kind") == IS_RECEIPT)
    ((first, last),) = receipts.agg(F.min("minute"), F.max("minute")).collect()
    if first is None:
        return
    first, last = first.astimezone(UTC), last.astimezone(UTC)
    if tickers := stored_tickers(spark, settings, first, last):
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        kept_since = today - (settings.tickers_retention_days - 1) * DAY
        yield tickers_verdict(messages, tickers, kept_since)
    in_landing = landed(spark, settings, first, last)
    if in_landing is not None:
        in_landing.persist()
        yield landing_verdict(rows, in_landing, reach.since, is_wanted(span))
        in_landing.unpersist()
