"""All queries in one application, for a machine that has no memory for three.

    spark-submit spark_jobs/jobs.py

The same queries as those of live_prices, raw_archive and price_history by themselves. Live prices come
first: see infra/spark/fairscheduler.xml. When one query ends, all do.
"""

from functools import partial

from spark_jobs import live_prices, price_history, raw_archive
from spark_jobs.run.runner import Start, run_job

# Spark takes no core away from a task that runs, and those of the lake run for seconds. With one at a time,
# live batches find slots of the master's four.
LAKE_TASKS = 1

# Live first: its lock in Postgres refuses a second application before that one touches the lake.
STARTS: tuple[tuple[str, Start], ...] = (
    ("live", live_prices.start),
    ("lake", partial(raw_archive.start, tasks=LAKE_TASKS)),
    ("lake", partial(price_history.start, tasks=LAKE_TASKS)),
)


if __name__ == "__main__":
    run_job("jobs", STARTS, lambda settings: settings.live_prices_metrics_port)
