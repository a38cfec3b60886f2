"""All queries in one application, for a machine that has no memory for three.

    spark-submit spark_jobs/jobs.py

The same queries as those of live_prices, raw_archive and price_history by themselves. Live prices come
first: see infra/spark/fairscheduler.xml. When one query ends, all do.
"""

from spark_jobs import live_prices, price_history, raw_archive
from spark_jobs.running import Start, run_job

# Live first: its lock in Postgres refuses a second application before that one touches the lake.
STARTS: tuple[tuple[str, Start], ...] = (
    ("live", live_prices.start),
    ("lake", raw_archive.start),
    ("lake", price_history.start),
)


if __name__ == "__main__":
    run_job("jobs", STARTS, lambda settings: settings.live_prices_metrics_port)
