"""Run all queries in one application, for a machine without enough memory for three.

    spark-submit spark_jobs/jobs.py

The queries are the same as in live_prices, raw_archive and price_history. Live prices have priority: see
infra/spark/fairscheduler.xml. When one query ends, all end.
"""

from functools import partial

from spark_jobs import live_prices, price_history, raw_archive
from spark_jobs.run.runner import Start, run_job

# Spark does not preempt running tasks, and tasks of the lake run for seconds. With one of them at a
# time, live batches find free slots among the master's four.
LAKE_TASKS = 1

# Live first: its lock in Postgres refuses a second application before it touches the lake.
STARTS: tuple[tuple[str, Start], ...] = (
    *live_prices.STARTS,
    ("lake", partial(raw_archive.start, tasks=LAKE_TASKS)),
    ("lake", partial(price_history.start, tasks=LAKE_TASKS)),
)


if __name__ == "__main__":
    run_job("jobs", STARTS, lambda settings: settings.live_prices_metrics_port)
